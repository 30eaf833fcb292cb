"""The digest of a file that grows in any order: what it follows, and who waits for it."""

import hashlib
import os
import threading
from contextlib import closing

import pytest

from raydl.model.digests import Checksum, Proof
from raydl.model.errors import CancelledError, ChecksumError, OutputError
from raydl.output import filedigest as module
from raydl.output.filedigest import FileDigest
from raydl.output.partfile import PartFile
from tests.openfiles import nothing_stays_open

DATA = bytes(range(1, 251)) * 40
SIZE = len(DATA)
SHA = Checksum("sha256", hashlib.sha256(DATA).hexdigest())
RIGHT, WRONG = Proof(SHA, "given"), Proof(Checksum("md5", "0" * 32), "given")
DEADLINE = 20


@pytest.fixture
def part(tmp_path):
    with closing(PartFile(tmp_path / "f")) as part:
        yield part


@pytest.fixture
def digest():
    with closing(FileDigest(RIGHT)) as digest:
        yield digest


def put(part, start, stop, data=DATA):
    os.pwrite(part.fd, data[start:stop], start)


def nothing():
    pass


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 1 << 20])
def test_it_follows_what_has_no_gap_before_it(part, digest, monkeypatch, size):
    monkeypatch.setattr(module, "HASH_SIZE", size)
    put(part, 5000, SIZE)
    for prefix in (0, 1, 2500, 2500, 5000):
        put(part, 0, prefix)
        digest.follow(part, prefix)
    digest.follow(part, SIZE)
    assert digest.verify("f", nothing) == {"sha256": SHA.hex}


def test_it_takes_in_nothing_before_it_is_said_to_be_there(part, digest):
    put(part, 0, SIZE, b"x" * SIZE)
    put(part, 0, 4000)
    digest.follow(part, 4000)
    with digest._changed:
        assert digest._changed.wait_for(lambda: digest._done == 4000, DEADLINE)
    put(part, 4000, SIZE)
    digest.follow(part, SIZE)
    assert digest.verify("f", nothing)


def test_another_digest(part):
    with closing(FileDigest(WRONG)) as digest:
        put(part, 0, SIZE)
        digest.follow(part, SIZE)
        with pytest.raises(ChecksumError, match=r"^f has md5"):
            digest.verify("f", nothing)


def test_a_byte_on_the_disk_is_what_counts(part, digest):
    put(part, 0, SIZE)
    put(part, 100, 101, b"x" * SIZE)
    digest.follow(part, SIZE)
    with pytest.raises(ChecksumError):
        digest.verify("f", nothing)


def test_of_no_bytes_at_all():
    proof = Proof(Checksum("sha256", hashlib.sha256().hexdigest()), "given")
    with closing(FileDigest(proof)) as digest:
        assert digest.verify("f", nothing) == {"sha256": proof.checksum.hex}
        assert digest._thread is None


def test_without_a_proof_there_is_nothing_to_do(part):
    with closing(FileDigest(None)) as digest:
        digest.follow(part, 100)
        assert (digest.wanted, digest.verify("f", nothing), digest._thread) == (False, {}, None)


def test_a_file_that_became_shorter_is_told(part, digest):
    put(part, 0, 100)
    digest.follow(part, SIZE)
    for _ in range(2):
        with pytest.raises(OutputError, match=r"f\.part became shorter while it was read"):
            digest.verify("f", nothing)


class Slow:
    """Reads that wait for ``go_on``."""

    def __init__(self, monkeypatch):
        self.go_on, self.reads, real = threading.Event(), 0, module.fill

        def fill(*args):
            assert self.go_on.wait(DEADLINE)
            self.reads += 1
            real(*args)

        monkeypatch.setattr(module, "fill", fill)
        monkeypatch.setattr(module, "CHECK_SECONDS", 0.001)
        monkeypatch.setattr(module, "HASH_SIZE", 1000)


@pytest.fixture
def slow(monkeypatch):
    slow = Slow(monkeypatch)
    yield slow
    slow.go_on.set()


def test_who_waits_may_end_that(part, digest, slow):
    def check():
        raise CancelledError("cancelled")

    put(part, 0, SIZE)
    digest.follow(part, SIZE)
    with pytest.raises(CancelledError):
        digest.verify("f", check)
    slow.go_on.set()
    assert digest.verify("f", nothing)


def test_closing_ends_it_amid_the_file(part, digest, slow):
    put(part, 0, SIZE)
    digest.follow(part, SIZE)
    closing_it = threading.Thread(target=digest.close)
    closing_it.start()
    while not digest._is_over:
        pass
    slow.go_on.set()
    closing_it.join(DEADLINE)
    assert not digest._thread.is_alive()
    assert slow.reads <= 1


def test_its_handle_outlasts_the_file_and_none_is_left(tmp_path, slow, digest):
    """The file may be closed, or replaced, while it is read."""
    with nothing_stays_open():
        part = PartFile(tmp_path / "f")
        put(part, 0, SIZE)
        digest.follow(part, SIZE)
        part.renew()
        put(part, 0, SIZE, b"x" * SIZE)
        part.close()
        with (tmp_path / "other").open("wb") as other:
            other.write(b"y" * SIZE)  # has the number that the file had
            slow.go_on.set()
            assert digest.verify("f", nothing)
        digest.close()
