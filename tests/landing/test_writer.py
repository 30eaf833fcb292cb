from functools import partial

import pytest

from raydl.landing import writer as module
from raydl.landing.readback import Readback
from raydl.landing.reader import Reader
from raydl.landing.writer import STUCK, Item, Writer
from raydl.model.coverage import Coverage
from raydl.model.parts import Part

LOST = ("LookupError", "gone", "")


class Hand:
    name = "n"

    def __init__(self):
        self.calls = []

    def write(self, item, done):
        self.calls.append(("write", item, done))

    def call(self, method, *args, done):
        self.calls.append((method, args, done))

    def answer(self, error=None, result=None):
        """To what was asked first."""
        self.calls.pop(0)[2]((error, result))

    @property
    def asked(self):
        return [call[0] for call in self.calls]


class Made:
    def __init__(self):
        self.now = 0.0
        self.hand, self.safe, self.failed = Hand(), [], []
        self.writer = Writer(
            self.hand,
            self.safe.append,
            lambda writer, items, error: self.failed.append((items, error)),
            lambda: self.now,
        )

    def write(self, start, stop):
        item = Item(Part(0, start, stop), None, None)
        self.writer.write(item)
        return item


@pytest.fixture
def made():
    made = Made()
    made.writer.open()
    return made


def test_it_waits_until_the_file_is_seen():
    made = Made()
    made.write(0, 10)
    assert made.hand.asked == []
    made.writer.open()
    assert made.hand.asked == ["write"]


def test_what_is_written_counts_once_it_is_synced(made):
    item = made.write(0, 10)
    made.hand.answer(result=77)
    made.writer.look(0.1, False)
    assert made.hand.asked == []
    made.writer.look(module.SYNC_SECONDS, False)
    assert made.hand.asked == ["sync"]
    later = made.write(10, 20)
    assert made.safe == []
    made.hand.answer()
    assert made.safe == [item]
    assert item.crc == 77
    made.hand.answer(result=1)
    made.writer.look(0.0, True)
    made.hand.answer()
    assert made.safe == [item, later]
    assert made.writer.is_settled


def test_one_sync_at_a_time(made):
    for start in (0, 10):
        made.write(start, start + 10)
        made.hand.calls.pop()[2]((None, 1))
        made.writer.look(0.0, True)
    assert made.hand.asked == ["sync"]


def test_much_goes_at_once(made, monkeypatch):
    monkeypatch.setattr(module, "SYNC_BYTES", 10)
    made.write(0, 10)
    made.hand.answer(result=1)
    made.writer.look(0.0, False)
    assert made.hand.asked == ["sync"]


def test_a_sync_that_fails_casts_doubt_on_what_came_since(made):
    first = made.write(0, 10)
    made.hand.answer(result=1)
    made.writer.look(0.0, True)
    second = made.write(10, 20)
    made.hand.calls.pop(1)[2]((None, 2))
    made.hand.answer(("OSError", "Input/output error", ""))
    [(items, error)] = made.failed
    assert items == [first, second]
    assert error[1] == "Input/output error"


def test_what_is_said_of_a_machine_that_is_gone_does_not_count(made):
    item = made.write(0, 10)
    assert made.writer.take_all() == [item]
    made.hand.answer(result=1)
    made.writer.look(9.0, True)
    assert made.hand.asked == []


@pytest.mark.parametrize("is_open", [True, False])
def test_one_that_waits_too_long_is_stuck(is_open):
    made = Made()
    if is_open:
        made.writer.open()
    made.write(0, 10)
    assert not made.writer.is_stuck(1.0)
    assert made.writer.is_stuck(module.STUCK_SECONDS + 1)


class TestReader:
    def made(self, algorithm="sha256"):
        self.readback = Readback(10, algorithm is not None)
        self.readback.wrote(Part(0, 0, 10), 5)
        self.wrong, self.failed = [], []
        return Reader(
            self.readback, algorithm, self.wrong.append,
            lambda who, why: self.failed.append((who, why)),
        )  # fmt: skip

    def test_who_had_least_to_write_reads(self):
        reader, busy, idle = self.made(), Made(), Made()
        busy.writer.bytes = 1
        look = partial(reader.look, [busy.writer, idle.writer], Coverage([(0, 10)]))
        look(0.0, is_last=False)
        look(0.0, is_last=False)
        assert (busy.hand.asked, idle.hand.asked) == ([], ["read_back"])
        idle.hand.answer(result=(10, "abc"))
        assert self.readback.is_through
        assert reader.digest == "abc"

    def test_another_one_takes_over(self):
        reader, first, second = self.made(), Made(), Made()
        reader.look([first.writer], Coverage([(0, 10)]), 0.0, is_last=False)
        reader.lose(first.writer)
        reader.look([second.writer], Coverage([(0, 10)]), 0.0, is_last=False)
        first.hand.answer(result=(10, "late"))
        assert not self.readback.is_through
        assert second.hand.asked == ["read_back"]

    def test_what_is_wrong_is_told(self):
        reader, made = self.made(), Made()
        reader.look([made.writer], Coverage([(0, 10)]), 0.0, is_last=False)
        made.hand.answer(result=(0, ""))
        assert self.wrong == [(0, 10, 5)]

    def test_who_is_stuck_is_told(self):
        reader, made = self.made(), Made()
        for now in (0.0, module.STUCK_SECONDS + 1):
            reader.look([made.writer], Coverage([(0, 10)]), now, is_last=False)
        assert self.failed == [(made.writer, STUCK[1])]

    def test_who_has_nothing_to_go_on_from_starts_over(self):
        reader, made = self.made(), Made()
        reader.look([made.writer], Coverage([(0, 10)]), 0.0, is_last=False)
        made.hand.answer(LOST)
        reader.look([made.writer], Coverage([(0, 10)]), 0.0, is_last=False)
        assert made.hand.asked == ["read_back"]
