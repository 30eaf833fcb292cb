"""How much is read at once, in made-up time."""

import pytest

from raydl.download.pace import SMALLEST, Pace
from raydl.scheduler.flights import CRAWL_SECONDS

LARGEST = 4 << 20


def read(pace, now, seconds, count=None):
    pace.begin(now)
    pace.end(now + seconds, pace.amount if count is None else count)
    return now + seconds


def test_what_is_quick_grows_and_what_is_slow_shrinks():
    pace, now = Pace(LARGEST, None), 0.0
    assert pace.amount == SMALLEST
    for _ in range(5):
        now = read(pace, now, 0.01)
    assert pace.amount == LARGEST
    read(pace, now, 0.2)
    assert pace.amount == LARGEST
    for _ in range(10):
        now = read(pace, now, 0.6)
    assert pace.amount == SMALLEST


def test_it_starts_with_no_more_than_a_second_of_what_is_just_quick_enough():
    assert Pace(LARGEST, 1000).amount == 1000
    assert Pace(LARGEST, 10**9).amount == SMALLEST


@pytest.mark.parametrize("speed", [500, 2000])
def test_what_crawls(speed):
    pace, now, seen = Pace(LARGEST, 1000), 0.0, []
    for _ in range(20):
        now = read(pace, now, 1.0, speed)
        seen.append(pace.crawls(now))
    assert any(seen) == (speed < 1000)
    assert not any(seen[: int(CRAWL_SECONDS) - 1])


def test_a_read_that_brings_nothing_crawls_while_it_lasts():
    pace = Pace(LARGEST, 1000)
    pace.begin(10.0)
    assert not pace.crawls(10.0 + CRAWL_SECONDS - 0.1)
    assert pace.crawls(10.0 + CRAWL_SECONDS + 0.1)


def test_a_pause_between_reads_is_nobodys_fault():
    pace, now = Pace(LARGEST, 1000), 0.0
    for _ in range(3):
        now = read(pace, now, 0.1, 10_000) + 60.0
    assert not pace.crawls(now)
    pace.begin(now)
    pace.stop()
    assert not pace.crawls(now + 99.0)
