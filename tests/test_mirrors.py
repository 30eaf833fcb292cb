"""One file in several places: spread by speed, left when they fail, never another file."""

import base64
import hashlib

import pytest

import raydl
from raydl.checksum import Checksum, Proof
from raydl.errors import HttpError, UsageError
from raydl.event import Notice
from raydl.mirrors import PATIENCE, Mirror, Mirrors, objection
from raydl.models import Failure, Remote, Source
from raydl.options import Options
from tests.conftest import random_bytes
from tests.scripted import anything, status
from tests.test_download import ALONE

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
    for _ in range(PATIENCE - 1):
        assert not mirrors.failed(first, BUSY)
    mirrors.delivered(first, first.source, 10, 1.0)
    for _ in range(PATIENCE - 1):
        assert not mirrors.failed(first, BUSY)
    assert mirrors.failed(first, BUSY)
    assert first not in mirrors
    assert not mirrors.failed(second, GONE)  # the last one stays: its errors are the download's
    assert mirrors.next() is second


def test_nobody_knows_where():
    only = mirror("a")
    only.is_resolving = True
    assert Mirrors([only]).next() is None


REMOTE = Remote("u", "u", 100, True, '"v1"', None, "f")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"etag": '"other"'}, ""),
        ({"size": 99}, "it has 99 bytes, not 100"),
        ({"ranges": False, "why_no_ranges": "the origin ignores byte ranges"}, "ignores byte"),
        ({"etag": None}, "could not be noticed"),
        ({"digest": Proof(Checksum("md5", "b" * 32), "Digest")}, "states another md5"),
        ({"digest": Proof(Checksum("sha1", "b" * 40), "Digest")}, ""),
    ],
)
def test_who_can_stand_in(changes, says):
    first = Remote(**{**REMOTE.__dict__, "digest": Proof(Checksum("md5", "a" * 32), "Digest")})
    found = objection(first, Remote(**{**REMOTE.__dict__, **changes}))
    assert says in found
    assert bool(found) == bool(says)


def test_urls():
    assert Options.of({"mirror": "http://a/x https://b/y"}).mirror == ("http://a/x", "https://b/y")
    with pytest.raises(UsageError, match="mirror"):
        Options.of({"mirror": ["ftp://a/x"]})


@pytest.fixture
def two(make_origin):
    data = random_bytes(2_000_000)
    return make_origin(data), make_origin(data, headers={"ETag": '"theirs"'})


def fetch(first, second, **options):
    events = []
    report = raydl.fetch(
        first.url(), mirror=[second.url()], on_event=events.append, part_size=50_000,
        **{**ALONE, **options},
    )  # fmt: skip
    return report, [str(event) for event in events if isinstance(event, Notice)]


def test_both_are_used(two, in_tmp):
    first, second = two
    fetch(first, second)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert len(first.parts) > 5
    assert len(second.parts) > 5
    assert len(first.parts) + len(second.parts) == 40


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("behaviour", [status(404), status(503, Retry_After="0")])
def test_one_that_fails_half_way_is_left(two, in_tmp, which, behaviour):
    two[which].on(behaviour, None, lambda seen: seen.is_part and seen.range[0] > 500_000)
    _, told = fetch(*two, retries=2)
    assert (in_tmp / "file.bin").read_bytes() == two[0].data
    assert any("is left out from here" in text for text in told)


def test_one_that_changes_half_way_is_left(two, in_tmp):
    first, second = two

    def change(handler, seen):
        second.headers["ETag"] = '"other"'
        return False

    second.on(change, 1, lambda seen: seen.is_part and seen.range[0] > 500_000)
    _, told = fetch(first, second)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert any("is left out from here" in text for text in told)


def test_one_with_another_file_is_never_asked(make_origin, in_tmp):
    first, second = make_origin(random_bytes(300_000)), make_origin(random_bytes(300_001))
    _, told = fetch(first, second)
    assert not second.parts
    assert any("it has 300001 bytes, not 300000" in text for text in told)


def test_one_that_states_another_digest(two, in_tmp):
    first, second = two
    for origin, data in ((first, first.data), (second, b"other")):
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        origin.headers["Repr-Digest"] = f"sha-256=:{digest}:"
    _, told = fetch(first, second)
    assert not second.parts
    assert any("it states another sha256" in text for text in told)


def test_one_that_is_not_there(two, in_tmp):
    first, second = two
    second.on(status(410), None, anything)
    _, told = fetch(first, second)
    assert any("answered 410" in text for text in told)


def test_when_all_fail_that_is_the_error(two, in_tmp):
    for origin in two:
        origin.on(status(404), None)
    with pytest.raises(HttpError, match="404"):
        fetch(*two)


@pytest.mark.cluster
def test_on_several_nodes(two_nodes, two, in_tmp):
    first, second = two
    fetch(first, second, address=two_nodes.address, fetch_here=False)
    assert (in_tmp / "file.bin").read_bytes() == first.data
    assert first.parts
    assert second.parts
