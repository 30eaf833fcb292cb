"""Signed URLs that expire half-way: resolved anew, once for the whole fleet."""

import threading

import pytest

import raydl
from raydl.model.errors import HttpError, OriginChangedError
from raydl.model.events import Notice, PartFailed
from raydl.origin import resolver
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import anything, status


class Store:
    """A host that signs URLs, and the origin that serves each for some requests."""

    def __init__(self, front, back, serves):
        self.front, self.back, self.serves = front, back, serves
        self.refusal = 403
        self.signed = 0
        self.asked = {}
        self.lock = threading.Lock()
        front.on(self.sign, None, anything)
        back.on(self.check, None, anything)

    def sign(self, handler, seen):
        with self.lock:
            self.signed += 1
        return status(302, Location=self.back.url(f"/file.bin?ticket={self.signed}"))(handler, seen)

    def check(self, handler, seen):
        ticket = int(seen.path.partition("=")[2])
        self.back.release.wait(0.02)
        if not seen.is_part:
            return False
        with self.lock:
            self.asked[ticket] = self.asked.get(ticket, 0) + 1
            expired = self.asked[ticket] > self.serves
        return status(self.refusal)(handler, seen) if expired else False


@pytest.fixture
def store(make_origin):
    def make(size, serves):
        return Store(make_origin(b""), make_origin(random_bytes(size)), serves)

    return make


def notices(events):
    return [e for e in events if isinstance(e, Notice) and "asking again" in str(e)]


def test_one_resolve_for_all_lanes(store, in_tmp):
    store, events = store(1_000_000, serves=20), []
    raydl.fetch(store.front.url(), part_size=20_000, connections=8, on_event=events.append, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == store.back.data
    assert store.signed == 3
    assert len(notices(events)) == 2


def test_a_session_that_has_expired(store, in_tmp):
    """S3's word for credentials whose time is over is 400."""
    store = store(1_000_000, serves=20)
    store.refusal = 400
    raydl.fetch(store.front.url(), part_size=20_000, connections=8, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == store.back.data
    assert store.signed == 3


@pytest.mark.cluster
def test_one_resolve_for_all_nodes(warm_nodes, store, in_tmp):
    store, events = store(20_000_000, serves=130), []
    options = {**ALONE, "address": warm_nodes.address, "part_size": 100_000, "connections": 2}
    report = raydl.fetch(store.front.url(), on_event=events.append, **options)
    assert (in_tmp / "file.bin").read_bytes() == store.back.data
    assert len(report.nodes) == 2
    assert store.signed == 2
    assert len(notices(events)) == 1


@pytest.mark.parametrize("connections", [1, 4, 16])
def test_urls_that_are_good_for_a_few_requests(store, in_tmp, connections):
    """Each new one that brought something is followed by another: there is no count of that."""
    store, events = store(1_000_000, serves=3), []
    options = {**ALONE, "part_size": 20_000, "connections": connections, "retries": 0}
    raydl.fetch(store.front.url(), on_event=events.append, **options)
    assert (in_tmp / "file.bin").read_bytes() == store.back.data
    assert 17 <= store.signed <= 50
    assert not [event for event in events if isinstance(event, PartFailed)]


def test_a_refusal_before_the_first_bytes(store, in_tmp):
    """Who is refused waits for what the others bring: that proves that the URL was good."""
    store = store(1_000_000, serves=1)
    refused = threading.Event()

    def slowly(handler, seen):
        is_refused = store.check(handler, seen)
        if is_refused:
            refused.set()
        elif seen.is_part:
            refused.wait(5)
        return is_refused

    store.back.rules[0].behaviour = slowly
    raydl.fetch(store.front.url(), part_size=100_000, connections=4, retries=0, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == store.back.data


def test_what_is_refused_from_the_start_is_refused(store, in_tmp):
    store = store(1_000_000, serves=0)
    with pytest.raises(HttpError, match="403"):
        raydl.fetch(store.front.url(), **ALONE)
    assert store.signed == 1


def test_a_new_url_that_serves_nothing(store, in_tmp):
    store = store(1_000_000, serves=10)
    store.asked[2] = 10**6
    with pytest.raises(HttpError, match="403"):
        raydl.fetch(store.front.url(), part_size=20_000, connections=4, **ALONE)
    assert store.signed == 2


def test_the_host_refuses_to_sign_again(store, in_tmp):
    store = store(1_000_000, serves=10)
    store.front.rules[0].behaviour = lambda *a: status(401)(*a) if store.signed else store.sign(*a)
    with pytest.raises(HttpError, match="401"):
        raydl.fetch(store.front.url(), part_size=20_000, connections=4, **ALONE)


def test_another_file_by_then(store, in_tmp):
    """It is fetched from the start, once; it never mixes."""
    store = store(1_000_000, serves=10)
    before = store.back.data

    def sign(handler, seen):
        if store.signed == 1:
            store.back.data = random_bytes(1_000_000, seed=8)
            store.back.headers["ETag"] = '"v2"'
            store.serves = 10**6
        return False

    store.front.rules[0].behaviour = lambda *a: sign(*a) or store.sign(*a)
    try:
        raydl.fetch(store.front.url(), part_size=20_000, connections=4, **ALONE)
    except OriginChangedError:
        pytest.fail("there is one fresh start")
    assert (in_tmp / "file.bin").read_bytes() == store.back.data != before


def test_what_is_raised_while_it_is_asked_anew_ends_it(store, in_tmp, monkeypatch, no_leaks):
    """A listener's exception as well as a bug."""
    store = store(1_000_000, serves=20)
    ask = resolver.resolve

    def look(url, options, emit, control, **rest):
        emit(Notice("asked"))
        return ask(url, options, emit, control, **rest)

    def told(event):
        if isinstance(event, Notice) and event.text == "asked":
            raise RuntimeError("listener")

    monkeypatch.setattr(resolver, "resolve", look)
    with pytest.raises(RuntimeError, match="listener"):
        raydl.fetch(store.front.url(), part_size=20_000, on_event=told, **ALONE)
