"""What threads of this process write straight into the file: whole downloads."""

import errno
import hashlib
import io
import os

import pytest

import raydl
from raydl.model import backoff
from tests.conftest import random_bytes
from tests.openfiles import nothing_stays_open
from tests.scripted import begin, secured

ALONE = {"address": "none", "progress": "none", "timeout": 20.0}

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="there is no splice")


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_leaks):
    monkeypatch.setattr(backoff, "FIRST", 0.001)


def fetch(url, **options):
    return raydl.fetch(url, **{**ALONE, **options})


@pytest.fixture
def spliced(monkeypatch):
    """Counts what goes into a file from a pipe."""
    sizes, real = [], os.splice

    def splice(*args, **kwargs):
        count = real(*args, **kwargs)
        if "offset_dst" in kwargs:
            sizes.append(count)
        return count

    monkeypatch.setattr(os, "splice", splice)
    return sizes


def in_chunks(handler, seen, extra=b"", count=None):
    """The range that was asked for in chunks, and perhaps something behind it, or not all of it."""
    first, last = seen.range
    body = handler.origin.data[first : last + 1]
    label = f"bytes {first}-{first + len(body) - 1}/{len(handler.origin.data)}"
    headers = {"Content-Range": label, "Transfer-Encoding": "chunked"}
    handler.start(206, {**handler.origin.headers, **headers})
    body = body[:count] + extra
    for at in range(0, len(body), 50_000):
        piece = body[at : at + 50_000]
        said = len(piece) + (0 if count is None else 10)
        handler.wfile.write(f"{said:x}\r\n".encode() + piece + b"\r\n")
    if count is None:
        handler.wfile.write(b"0\r\n\r\n")
    else:
        handler.close_connection = True
    return True


def test_without_tls_the_bytes_never_come_here(origin, in_tmp, spliced):
    checksum = "sha256:" + hashlib.sha256(origin.data).hexdigest()
    with nothing_stays_open():
        report = fetch(origin.url(), parts=7, checksum=checksum)
        assert (in_tmp / "file.bin").read_bytes() == origin.data
        assert report.digests
        assert len(origin.data) - 7 * io.DEFAULT_BUFFER_SIZE <= sum(spliced) <= len(origin.data)
        raydl.disconnect()


def test_with_tls_they_come_through_a_buffer(origin, certificates, in_tmp, spliced):
    url = secured(origin, certificates).url().replace("http:", "https:")
    fetch(url, parts=7, cacert=str(certificates / "ca.pem"))
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert spliced == []


def test_a_file_system_that_takes_nothing_from_a_pipe(origin, in_tmp, monkeypatch):
    real = os.splice

    def splice(*args, **kwargs):
        if "offset_dst" in kwargs:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, "splice", splice)
    fetch(origin.url(), parts=7)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_a_full_disk_ends_it_and_what_came_is_kept(origin, in_tmp, monkeypatch):
    real, left = os.splice, [300_000]

    def splice(source, into, count, **kwargs):
        if "offset_dst" in kwargs:
            if left[0] <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = min(count, left[0])
            left[0] -= count
        return real(source, into, count, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "splice", splice)
        with pytest.raises(raydl.OutputError, match="the disk is full") as caught:
            fetch(origin.url(), parts=7)
        assert "call it again to go on" in str(caught.value)
    report = fetch(origin.url())
    assert report.resumed > 0
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize("count", [None, 40_000])
def test_answers_in_chunks(origin, in_tmp, count):
    """Whole ones, and some that break off: what came of these is right."""
    origin.on(lambda *args: in_chunks(*args, count=count), None if count is None else 3)
    fetch(origin.url(), parts=5)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_answers_in_chunks_that_turn_out_not_to_fit(origin, in_tmp):
    origin.on(lambda *args: in_chunks(*args, extra=b"x"), None)
    with pytest.raises(raydl.WrongAnswerError, match="sent more than it said"):
        fetch(origin.url(), parts=5)
    assert not (in_tmp / "file.bin").exists()
    origin.rules.clear()  # of what was under way then, the beginning may be kept: it is right
    fetch(origin.url())
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_more_than_an_answer_said_gets_over_no_neighbour(make_origin, in_tmp):
    """Parts are small, so that all of one comes along with its header, and what lies behind."""
    origin = make_origin(random_bytes(40_000))

    def more(handler, seen):
        first, last = seen.range
        handler.serve(seen, body=origin.data[first : last + 1] + b"x" * 5000)
        handler.close_connection = True
        return True

    origin.on(more, None)
    fetch(origin.url(), parts=20, part_size=2000)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_a_late_request_and_the_one_for_the_same_bytes_leave_no_mixture(origin, in_tmp):
    """The late one goes on with other bytes, as a proxy may, once the file could have its name."""
    events, late = [], []

    def stalls(handler, seen):
        late.append(seen.range)
        begin(handler, seen, 1000)
        handler.wfile.flush()
        handler.origin.release.wait(60)
        handler.wfile.write(b"x" * 100_000)
        return True

    origin.on(stalls, 1, lambda seen: seen.is_part and seen.range[0] > 500_000)
    fetch(origin.url(), parts=7, connections=4, on_event=events.append)
    origin.release.set()
    assert len(late) == 1
    # It was cut short, or asked for once more: the rest of it came by another request.
    assert any(seen.range[0] > late[0][0] and seen.range[1] >= late[0][1] for seen in origin.parts)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
