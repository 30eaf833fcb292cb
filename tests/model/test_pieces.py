"""Digests of pieces: which they are, and how those of a part are cut out."""

import pytest

from raydl.model.errors import UsageError
from raydl.model.pieces import Pieces
from tests.metalinks import digests_of

DATA = bytes(range(256)) * 5


def pieces(length=300, algorithm="sha1"):
    return Pieces.of(algorithm, length, len(DATA), digests_of(DATA, length, algorithm))


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("length", [1, 300, len(DATA), 5000])
def test_each_is_right(length, algorithm):
    found = pieces(length, algorithm)
    assert found.count == -(-len(DATA) // length)
    for number in range(found.count):
        start, stop = found.bounds(number)
        assert found.is_right(number, memoryview(DATA)[start:stop])
    assert not found.is_right(0, memoryview(DATA)[1 : length + 1])


def test_those_of_a_part_are_all_that_it_needs():
    part = pieces().part(300, 900)
    assert (part.first, len(part.digests)) == (1, 40)
    assert part.is_right(1, memoryview(DATA)[300:600])
    assert part.is_right(2, memoryview(DATA)[600:900])
    assert pieces().part(1200, len(DATA)).is_right(4, memoryview(DATA)[1200:])
    assert part.part(600, 900) == pieces().part(600, 900)


def test_what_fits():
    assert pieces().fits([(0, 300), (600, 900), (1200, len(DATA))])
    assert not pieces().fits([(0, 301)])
    assert not pieces().fits([(1, 300)])


def test_what_is_said_of_one():
    assert pieces().describe(4) == "piece 5 of 5 (bytes 1200 to 1279)"
    assert str(pieces()) == "5 pieces of 300 B"


def test_what_cannot_be():
    with pytest.raises(UsageError, match="no digest that is known"):
        Pieces.of("sha3", 1, 1, ["00"])
