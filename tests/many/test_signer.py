"""Stores that are slow to sign URLs, or cannot be asked."""

import queue
import threading
from collections import Counter

import pytest

import raydl
from raydl.many.host import Host, Task
from raydl.many.signer import MOST_OF_HOST, Signer
from raydl.many.tempo import Tempo
from raydl.model.errors import TimedOutError, UsageError
from raydl.model.fileevents import FileEnded
from raydl.model.item import Item
from raydl.origin.resolver import SCHEMES


class Store:
    """What ``gs://`` is here: ``fails`` says what becomes of a name."""

    def __init__(self):
        self.asked = Counter()
        self.fails = lambda name: None

    def sign(self, name):
        self.asked[name] += 1
        if error := self.fails(name):
            raise error
        return f"http://127.0.0.1:1/{name[5:]}?secret", None


@pytest.fixture
def store(monkeypatch):
    store = Store()
    monkeypatch.setitem(SCHEMES, "gs", store.sign)
    return store


class Desk:
    """A host of files that are to be signed, by a clock that goes on when nothing else does."""

    def __init__(self, files, retries, mirrors=()):
        self.now, self.posted = 0.0, queue.SimpleQueue()
        self.signed, self.given_up = [], []
        self.host = Host(None, Tempo(1, 0.0), is_store=True)
        for number in range(files):
            self.host.add(Task(Item(f"gs://b/{number}", mirrors=mirrors), str(number)))
        self.signer = Signer(
            retries,
            lambda task, error: self.given_up.append((task.path, error)),
            self.posted.put,
            lambda: self.now,
        )

    def run(self):
        under_way = 0
        while not self.host.is_idle:
            self.host.ripen(self.now)
            while self.host.may_ask(self.now):
                if self.host.signed:
                    self.signed += [task.path for task in self.host.signed.popleft()]
                elif self.signer.may_sign(self.host, self.now):
                    self.signer.sign(self.host, self.host.batch(0.25))
                    under_way += 1
                else:
                    break
            if under_way:
                self.posted.get(timeout=10)()
                under_way -= 1
            else:
                self.now += 0.5
        return self


def unreached(_):
    return TimedOutError("no answer")


def test_each_is_signed_once(store):
    desk = Desk(100, 0).run()
    assert sorted(map(int, desk.signed)) == list(range(100))
    assert set(store.asked.values()) == {1}
    assert desk.given_up == []


@pytest.mark.parametrize("retries", [0, 2])
def test_one_that_cannot_be_asked_is_not_waited_for_once_for_each_name(store, retries):
    store.fails = unreached
    desk = Desk(1000, retries).run()
    assert len(desk.given_up) == 1000
    assert {type(error) for _, error in desk.given_up} == {TimedOutError}
    assert sum(store.asked.values()) <= MOST_OF_HOST * (retries + 1)
    assert isinstance(desk.host.gone, TimedOutError)


def test_nor_one_that_could_be_asked_before(store):
    store.fails = lambda name: unreached(name) if len(store.asked) > 500 else None
    desk = Desk(1000, 0).run()
    assert 400 < len(desk.signed) <= 500
    assert len(desk.signed) + len(desk.given_up) == 1000
    assert sum(store.asked.values()) <= 500 + 6 * MOST_OF_HOST
    assert desk.host.gone is None  # it may be there again for what comes later


def test_one_that_takes_long_for_it_is_given_up_at_once(store):
    def fails(name):
        desk.now = 60.0
        return unreached(name)

    store.fails, desk = fails, Desk(1000, 5)
    desk.run()
    assert sum(store.asked.values()) <= MOST_OF_HOST
    assert len(desk.given_up) == 1000


def test_a_moment_without_it_costs_nothing(store):
    store.fails = lambda name: unreached(name) if sum(store.asked.values()) == 30 else None
    desk = Desk(100, 1).run()
    assert sorted(map(int, desk.signed)) == list(range(100))
    assert desk.given_up == []


def test_a_name_that_never_can_be_signed_ends_alone(store):
    store.fails = lambda name: unreached(name) if name.endswith("/7") else None
    desk = Desk(100, 2).run()
    assert [path for path, _ in desk.given_up] == ["7"]
    assert len(desk.signed) == 99
    assert store.asked["gs://b/7"] == 3


def test_what_is_wrong_is_not_tried_again(store):
    store.fails = lambda name: UsageError("no") if name.endswith("0") else None
    desk = Desk(100, 5).run()
    assert len(desk.given_up) == 10
    assert len(desk.signed) == 90
    assert set(store.asked.values()) == {1}


def test_a_fault_of_ours_ends_that_file(store):
    store.fails = lambda name: ZeroDivisionError() if name.endswith("/7") else None
    desk = Desk(10, 5).run()
    assert [(path, "ZeroDivisionError" in str(error)) for path, error in desk.given_up] == [
        ("7", True)
    ]


@pytest.mark.parametrize("good", [0, 1])
def test_no_other_host_waits_for_it(store, make_origin, tmp_path, good):
    """Neither for the first URL in a bucket nor for a later one."""
    web, over, waited = make_origin(b"web"), threading.Event(), []

    def fails(name):
        if sum(store.asked.values()) > good:
            waited.append(over.wait(20))
            return TimedOutError("no answer")
        return None

    def hear(event):
        if isinstance(event, FileEnded) and event.report.state == "done":
            came.add(event.report.path)
            if len(came) == 50:
                over.set()

    store.fails, came = fails, set()
    names = [f"gs://b/{n}" for n in range(3)], [web.url(f"/{n}") for n in range(50)]
    report = raydl.fetch_many(
        [*names[0], *((url, f"web/{n}") for n, url in enumerate(names[1]))],
        tmp_path, address="none", progress="none", retries=0, on_event=hear,
    )  # fmt: skip
    assert (report.done, report.failed) == (50, 3)
    assert waited
    assert all(waited)
