"""One file in several places: spread by speed, left when they fail, never another file."""

import base64
import hashlib
import itertools
import queue
import threading

import pytest

import raydl
from raydl.download import mirrorsearch
from raydl.download.mirrorsearch import SPOT, SPOTS, MirrorSearch
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import HttpError, UsageError
from raydl.model.events import Notice, PartFailed
from raydl.model.failure import Failure
from raydl.model.remote import Remote, Source
from raydl.origin.resolver import Located
from raydl.scheduler.mirrors import PATIENCE, Mirror, Mirrors, agrees, objection
from raydl.settings.options import Options
from tests import scripted
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import anything, head, status

BUSY, GONE = Failure("status", "busy", 503), Failure("status", "gone", 404)


def mirror(name):
    return Mirror(Source(f"http://{name}/f", 100, '"v1"', None))


def test_requests_are_spread_by_speed():
    fast, slow = mirror("fast"), mirror("slow")
    mirrors = Mirrors([fast, slow])
    mirrors.delivered(fast, fast.source, 3000, 1.0)
    mirrors.delivered(slow, slow.source, 1000, 1.0)
    for _ in range(40):
        mirrors.next().in_flight += 1
    assert (fast.in_flight, slow.in_flight) == (30, 10)


def test_who_was_never_asked_is_asked():
    first, second = mirror("a"), mirror("b")
    mirrors = Mirrors([first, second])
    mirrors.delivered(first, first.source, 10**9, 1.0)
    first.in_flight = 1
    assert mirrors.next() is second


def test_failures():
    first, second = mirror("a"), mirror("b")
    mirrors = Mirrors([first, second])
    clock = itertools.count(1.0)

    def fails(place, failure):
        now = next(clock)
        return mirrors.failed(place, failure, now - 0.5, now)

    for _ in range(PATIENCE - 1):
        assert not fails(first, BUSY)
    mirrors.delivered(first, first.source, 10, 1.0)
    for _ in range(PATIENCE - 1):
        assert not fails(first, BUSY)
    assert fails(first, BUSY)
    assert first not in mirrors
    assert not fails(second, GONE)  # the last one stays: its errors are the download's
    assert mirrors.next() is second


def test_failures_at_once_are_one_event():
    first, second = mirror("a"), mirror("b")
    mirrors = Mirrors([first, second])
    for now in range(2, 2 + PATIENCE):
        assert not mirrors.failed(first, BUSY, 1.0, now)


def test_a_place_that_may_join_is_none_that_is_here():
    only = mirror("a")
    mirrors = Mirrors([only], awaited=1)
    assert not mirrors.failed(only, GONE, 0.0, 1.0)
    assert only in mirrors
    assert mirrors.leave(only)
    assert mirrors.searched(mirror("b"))


def test_nobody_knows_where():
    only = mirror("a")
    only.is_resolving = True
    assert Mirrors([only]).next() is None


@pytest.mark.parametrize(
    ("now", "is_same"),
    [
        ({"weak_date": "a"}, True),
        ({"last_modified": "a"}, True),  # it is older than a minute by now
        ({"weak_date": "b"}, False),
        ({"weak_date": "a", "weak_etag": '"x"'}, False),
    ],
)
def test_what_is_found_anew_is_the_same_file(now, is_same):
    def source(last_modified=None, **more):
        return Source("http://a/f", 100, None, last_modified, **more)

    assert Mirror(source(weak_date="a")).renew(source(**now)) is is_same


MD5, OTHER_MD5 = Checksum("md5", "a" * 32), Checksum("md5", "b" * 32)
SHA, OTHER_SHA = Checksum("sha256", "a" * 64), Checksum("sha256", "b" * 64)


def remote(*digests, **changes):
    fields = {"size": 100, "ranges": True, "etag": '"v1"', "last_modified": None, "name": "f"}
    stated = tuple(Proof(checksum, "Digest") for checksum in digests)
    return Remote("u", "u", **{**fields, "digests": stated, **changes})


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (remote(MD5), ""),
        (remote(etag='"other"'), ""),
        (remote(size=99), "it has 99 bytes, not 100"),
        (remote(ranges=False, why_no_ranges="the origin ignores byte ranges"), "ignores byte"),
        (remote(etag=None), "could not be noticed"),
        (remote(OTHER_MD5), "states another md5"),
        (remote(Checksum("sha1", "b" * 40)), ""),
        (remote(SHA, OTHER_MD5), "states another md5"),  # not the strongest of each alone
        (remote(coding="gzip"), "in gzip coding"),
    ],
)
def test_who_cannot_stand_in(other, says):
    found = objection(remote(SHA, MD5), other)
    assert says in found
    assert bool(found) == bool(says)


@pytest.mark.parametrize(
    ("first", "other", "is_shown"),
    [
        (remote(SHA, MD5), remote(MD5), True),
        (remote(SHA), remote(MD5), False),
        (remote(), remote(), False),  # one ETag at two hosts
    ],
)
def test_what_shows_that_they_are_the_same(first, other, is_shown):
    assert agrees(first, other) is is_shown


def test_urls():
    assert Options.of({"mirror": "http://a/x https://b/y"}).mirror == ("http://a/x", "https://b/y")
    with pytest.raises(UsageError, match="mirror"):
        Options.of({"mirror": ["ftp://a/x"]})


@pytest.fixture
def two(make_origin):
    data = random_bytes(2_000_000)
    return make_origin(data), make_origin(data, headers={"ETag": '"theirs"'})


def is_fetched(seen):
    """A part, and no block that is compared."""
    return seen.is_part and seen.range[1] - seen.range[0] + 1 < SPOT


def fetched(origin):
    return [seen for seen in origin.requests if is_fetched(seen)]


def fetch(first, second, **options):
    """The first serves parts from when the second is one of those that are asked."""
    events, joins = [], threading.Event()

    def hold(handler, seen):
        joins.wait(5)
        return False

    def told(event):
        events.append(event)
        if isinstance(event, Notice) and "left out" in event.text:
            joins.set()

    first.on(hold, None, is_fetched)
    compared = itertools.count(1)

    def compare(handler, seen):
        if next(compared) == SPOTS:
            joins.set()
        return False

    second.on(compare, None, lambda seen: seen.is_part and not is_fetched(seen))
    report = raydl.fetch(
        first.url(), mirror=[second.url()], on_event=told, part_size=10_000, **{**ALONE, **options}
    )
    return report, [str(event) for event in events if isinstance(event, Notice)]


def test_both_are_used(two, in_tmp):
    first, second = two
    fetch(first, second)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert len(fetched(first)) > 5
    assert len(fetched(second)) > 5
    assert len(fetched(first)) + len(fetched(second)) == 200


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("behaviour", [status(404), status(503, Retry_After="0")])
def test_one_that_fails_half_way_does_no_harm(two, in_tmp, which, behaviour):
    two[which].on(behaviour, None, lambda seen: is_fetched(seen) and seen.range[0] > 500_000)
    fetch(*two, retries=2)
    assert (in_tmp / "file.bin").read_bytes() == two[0].data


def test_one_that_changes_half_way_is_left(two, in_tmp):
    first, second = two

    def change(handler, seen):
        second.headers["ETag"] = '"other"'
        return False

    second.on(change, 1, lambda seen: is_fetched(seen) and seen.range[0] > 500_000)
    _, told = fetch(first, second)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert any("is left out from here" in text for text in told)


def test_one_with_another_file_is_never_asked(make_origin, in_tmp):
    first, second = make_origin(random_bytes(300_000)), make_origin(random_bytes(300_001))
    _, told = fetch(first, second)
    assert not second.parts
    assert any("it has 300001 bytes, not 300000" in text for text in told)


def test_one_with_other_bytes_is_left_out(make_origin, in_tmp):
    data = random_bytes(2_000_000)
    for other in (random_bytes(2_000_000, seed=8), data[:100] + b"!" + data[101:]):
        first, second = make_origin(data), make_origin(other)
        _, told = fetch(first, second, overwrite=True)
        assert (in_tmp / "file.bin").read_bytes() == data
        assert not fetched(second)
        assert any("it has other bytes" in text for text in told)


def test_one_that_cannot_be_compared_is_left_out(two, in_tmp):
    first, second = two
    second.on(status(500), None)
    _, told = fetch(first, second)
    assert any("it could not be compared: " in text for text in told)


def test_one_that_states_another_digest(two, in_tmp):
    first, second = two
    for origin, data in ((first, first.data), (second, b"other")):
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        origin.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    _, told = fetch(first, second)
    assert not second.parts
    assert any("it states another sha256" in text for text in told)


def test_one_that_states_the_same_digest_is_not_compared(two, in_tmp):
    digest = base64.b64encode(hashlib.sha256(two[0].data).digest()).decode()
    for origin in two:
        origin.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    raydl.fetch(two[0].url(), mirror=[two[1].url()], part_size=10_000, **ALONE)
    assert all(is_fetched(seen) for origin in two for seen in origin.parts)


def test_one_that_is_not_there(two, in_tmp):
    first, second = two
    second.on(status(410), None, anything)
    _, told = fetch(first, second)
    assert any("answered 410" in text for text in told)


def test_one_that_says_nothing_delays_nobody(two, in_tmp, no_leaks):
    first, second = two
    second.on(scripted.stall(), None, anything)
    raydl.fetch(first.url(), mirror=[second.url()], **{**ALONE, "timeout": 60})
    assert (in_tmp / "file.bin").read_bytes() == first.data


def test_one_that_never_ends_keeps_nobody(two, in_tmp, monkeypatch, no_leaks):
    """The first place fails, and the second dribbles what would be compared."""
    monkeypatch.setattr(mirrorsearch, "LATE", 0.1)
    first, second = two
    first.on(status(404), None)
    second.on(scripted.stall(10), None)
    with pytest.raises(HttpError, match="404"):
        raydl.fetch(first.url(), mirror=[second.url()], **ALONE)


def test_the_first_fails_before_the_second_has_joined(two, in_tmp):
    first, second = two
    first.on(status(404), None, is_fetched)
    second.on(lambda *_: bool(first_failed.wait(5)) and False, None, head)
    first_failed = threading.Event()

    def told(event):
        if isinstance(event, Notice) and "left out from here" in event.text:
            first_failed.set()

    raydl.fetch(first.url(), mirror=[second.url()], on_event=told, part_size=10_000, **ALONE)
    assert (in_tmp / "file.bin").read_bytes() == second.data


def test_what_a_listener_raises_about_a_mirror_ends_it(two, in_tmp, no_leaks):
    """Also while the others wait for that mirror."""
    first, second = two
    first.on(status(404), None, is_fetched)
    second.on(lambda *_: bool(first_failed.wait(5)) and False, None, head)
    first_failed = threading.Event()

    def told(event):
        if isinstance(event, Notice) and event.text.startswith("the mirror"):
            raise RuntimeError("listener")
        if isinstance(event, PartFailed):
            first_failed.set()

    options = {**ALONE, "on_event": told, "part_size": 10_000}
    with pytest.raises(RuntimeError, match="listener"):
        raydl.fetch(first.url(), mirror=[second.url()], **options)


def test_a_search_that_cannot_begin_keeps_nobody(two, monkeypatch):
    """Where no thread can be started for its timer."""
    first, second = two
    monkeypatch.setattr("threading.Timer.start", lambda timer: 1 / 0)
    posted = queue.SimpleQueue()
    found = Located(first.url(), remote(), Options(), id, first.url())
    search = MirrorSearch(found, Options(mirror=(second.url(),)), posted.put)
    search.start()
    message = posted.get(timeout=5)
    assert message.mirror is None
    assert "left out: unexpected ZeroDivisionError" in message.note


def test_when_all_fail_that_is_the_error(two, in_tmp):
    for origin in two:
        origin.on(status(404), None)
    with pytest.raises(HttpError, match="404"):
        raydl.fetch(two[0].url(), mirror=[two[1].url()], **ALONE)


@pytest.mark.cluster
def test_on_several_nodes(two_nodes, two, in_tmp):
    first, second = two
    fetch(first, second, address=two_nodes.address, fetch_here=False)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert first.parts
    assert second.parts
