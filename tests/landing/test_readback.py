import pytest

from raydl.landing import readback as module
from raydl.landing.readback import Readback
from raydl.model.coverage import Coverage
from raydl.model.parts import Part


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(module, "LEAST_BYTES", 20)
    monkeypatch.setattr(module, "MOST_BYTES", 40)


def made(size=100, in_full=True, *parts):
    """With these parts written, each with its first byte as its crc."""
    readback = Readback(size, in_full)
    for start, stop in parts:
        readback.wrote(Part(0, start, stop), start)
    return readback


def test_in_order_behind_the_first_gap():
    readback = made(100, True, (0, 10), (20, 50))
    assert readback.next(Coverage([(0, 10), (20, 50)]), False) == []
    readback.wrote(Part(0, 10, 20), 10)
    whole = Coverage([(0, 50)])
    assert readback.next(whole, False) == [(0, 10, 0), (10, 20, 10), (20, 50, 20)]
    readback.right(50)
    assert readback.next(whole, False) == []
    assert not readback.is_through


def test_the_last_of_it_may_be_little():
    readback = made(100, True, (0, 10))
    assert readback.next(Coverage([(0, 10)]), True) == [(0, 10, 0)]


def test_what_an_earlier_run_left_is_read_for_a_digest():
    readback = made(100, True, (50, 60))
    safe = Coverage([(0, 60)])
    assert readback.next(safe, False) == [(0, 40, None)]
    readback.right(40)
    assert readback.next(safe, False) == [(40, 50, None), (50, 60, 50)]


def test_without_a_digest_it_is_passed_over():
    readback = made(100, False, (50, 60))
    assert readback.next(Coverage([(0, 100)]), False) == [(50, 60, 50)]
    readback.right(60)
    assert readback.next(Coverage([(0, 100)]), False) == []
    assert readback.is_through


def test_what_is_wrong_twice():
    readback = made(100, True, (0, 10), (10, 30))
    assert not readback.wrong((10, 30, 10))
    readback.right(10)
    readback.wrote(Part(0, 10, 20), 10)
    readback.wrote(Part(0, 20, 30), 20)
    assert readback.next(Coverage([(0, 30)]), False) == [(10, 20, 10), (20, 30, 20)]
    assert readback.wrong((20, 30, 20))


def test_another_one_reads_all_of_it_again_for_a_digest():
    readback = made(100, True, (0, 40))
    readback.right(40)
    readback.restart()
    assert readback.next(Coverage([(0, 40)]), False) == [(0, 40, 0)]


def test_without_a_digest_another_one_goes_on():
    readback = made(100, False, (0, 40))
    readback.right(40)
    readback.restart()
    assert readback.position == 40
