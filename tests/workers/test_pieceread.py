"""Parts whose pieces have digests: what leaves a lane is right."""

from dataclasses import replace

import pytest

from raydl.model.pieces import Pieces
from raydl.model.remote import Source
from raydl.workers.worker import NodeWorker, Worker
from tests import scripted
from tests.conftest import random_bytes
from tests.metalinks import digests_of

LENGTH = 50_000


@pytest.fixture
def origin(make_origin):
    return make_origin(random_bytes(420_000))


@pytest.fixture
def source(origin):
    size = len(origin.data)
    pieces = Pieces.of("sha1", LENGTH, size, digests_of(origin.data, LENGTH))
    return Source(origin.url(), size, '"v1"', None, timeout=60, pieces=pieces)


def read(source, start, stop, worker=None):
    into = memoryview(bytearray(stop - start))
    part = replace(source, pieces=source.pieces.part(start, stop))
    got, failure = (worker or Worker()).fetch(part, 1, start, stop, into)
    return bytes(into[:got]), failure


@pytest.mark.parametrize(("start", "stop"), [(0, 420_000), (100_000, 200_000), (400_000, 420_000)])
def test_what_is_right_comes(origin, source, start, stop):
    assert read(source, start, stop) == (origin.data[start:stop], None)
    assert len(origin.requests) == 1


@pytest.mark.parametrize("bad", [0, 120_000, 149_999, 419_999])
def test_a_bad_piece_ends_it_and_what_was_before_counts(origin, source, bad):
    origin.on(scripted.lying(bad), None)
    data, failure = read(source, 0, 420_000)
    number = bad // LENGTH
    assert data == origin.data[: number * LENGTH]
    assert failure.kind == "piece"
    assert failure.message.startswith(f"piece {number + 1} of 9 (bytes {number * LENGTH} to ")
    assert failure.message.endswith(f"from {origin.url()} has another sha1")


def test_nothing_more_is_read_after_a_bad_one(make_origin):
    data = random_bytes(8 << 20)
    origin = make_origin(data)
    origin.on(scripted.lying(5), None)
    pieces = Pieces.of("sha1", LENGTH, len(data), digests_of(data, LENGTH))
    source = Source(origin.url(), len(data), '"v1"', None, timeout=60, pieces=pieces)
    worker = Worker()
    assert read(source, 0, len(data), worker)[0] == b""
    assert worker.pulse()[1] == LENGTH


def test_the_url_in_it_has_no_secret(origin, source):
    origin.on(scripted.lying(0), None)
    secret = source.url.replace("//", "//me:hidden@") + "?token=hidden"
    _, failure = read(replace(source, url=secret), 0, LENGTH)
    assert "hidden" not in failure.message


@pytest.mark.parametrize("count", [30_000, 50_000, 70_001])
def test_a_piece_goes_on_over_connections_that_break(origin, source, count):
    origin.on(scripted.cut_off(count), None)
    assert read(source, 0, 420_000) == (origin.data, None)


def test_an_origin_that_sends_less_than_a_piece(origin, source):
    origin.on(scripted.shorter(30_000), None)
    assert read(source, 50_000, 150_000) == (origin.data[50_000:150_000], None)


def test_what_breaks_without_a_byte_is_a_failure_and_whole_pieces_count(origin, source):
    origin.on(scripted.cut_off(120_000))
    origin.on(scripted.cut_off(0), None)
    data, failure = read(source, 0, 420_000)
    assert data == origin.data[:100_000]
    assert failure.kind == "broken"


def test_an_actor_does_the_same(origin, source):
    origin.on(scripted.lying(60_000), None)
    part = replace(source, pieces=source.pieces.part(50_000, 420_000))
    packed = part.pack()
    assert Source.unpack(*packed) == part
    (got, _, problem), _ = NodeWorker(False).fetch(*packed, 1, 50_000, 420_000)
    assert (got, problem[0]) == (0, "piece")
    (got, _, problem), data = NodeWorker(False).fetch(*packed, 2, 50_000, 420_000)
    assert (got, problem[0]) == (0, "piece")
    origin.rules.clear()
    (got, _, problem), data = NodeWorker(False).fetch(*packed, 3, 50_000, 420_000)
    assert (bytes(memoryview(data)), problem) == (origin.data[50_000:], None)


def test_pieces_of_one_byte(make_origin):
    data = random_bytes(3000)
    origin = make_origin(data)
    pieces = Pieces.of("md5", 1, len(data), digests_of(data, 1, "md5"))
    source = Source(origin.url(), len(data), '"v1"', None, timeout=60, pieces=pieces)
    assert read(source, 7, 2999) == (data[7:2999], None)
    origin.on(scripted.lying(1000), None)
    assert read(source, 7, 2999)[0] == data[7:1000]
