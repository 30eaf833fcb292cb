"""Intervals of a file, against a set of its bytes."""

import random
from itertools import combinations, pairwise

import pytest

from raydl.model.coverage import Coverage


def test_what_touches_is_one_interval():
    coverage = Coverage([(10, 20), (0, 5), (5, 10), (30, 31), (7, 7)])
    assert list(coverage) == [(0, 20), (30, 31)]
    assert (coverage.size, coverage.prefix, len(coverage)) == (21, 20, 2)


def test_any_order_of_intervals_is_what_a_set_of_bytes_is():
    dice = random.Random(7)
    for _ in range(300):
        coverage, there = Coverage(), set()
        for _ in range(dice.randrange(12)):
            start = dice.randrange(40)
            stop = start + dice.randrange(9)
            coverage.add(start, stop)
            there |= set(range(start, stop))
            assert coverage.size == len(there)
            assert [at for at in range(50) if coverage.has(at)] == sorted(there)
            for at, end in combinations(range(0, 50, 3), 2):
                assert coverage.covers(at, end) == there.issuperset(range(at, end))
            intervals = list(coverage)
            assert all(a < b for a, b in intervals)
            assert all(b < c for (_, b), (c, _) in pairwise(intervals))
        assert [at for at in range(60) if coverage.missing(60).has(at)] == sorted(
            set(range(60)) - there
        )
        assert Coverage.parse(str(coverage)) == coverage


def test_a_file_that_has_nothing_misses_all():
    assert list(Coverage().missing(9)) == [(0, 9)]
    assert Coverage().prefix == 0
    assert Coverage([(3, 4)]).prefix == 0
    assert list(Coverage([(0, 9)]).missing(9)) == []
    assert str(Coverage()) == ""
    assert Coverage.parse("") == Coverage()


@pytest.mark.parametrize(
    "text",
    ["1", "5-3", "0-5,5-9", "9-12,0-3", " 0-5", "0-5,", "a-b", "-1-5", "0-+5", "0_0-5", "1-1"],
)
def test_a_text_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        Coverage.parse(text)
