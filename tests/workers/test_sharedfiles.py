import errno
import hashlib
import itertools
import os
import zlib

import pytest

from raydl.workers.nodefiles import LOST
from raydl.workers.sharedfiles import FAULT, PLACE_BYTES, SharedFiles

DATA = bytes(range(256)) * 40
WORD, REPLY = "a" * 32, "b" * 32


@pytest.fixture
def part(tmp_path):
    path = tmp_path / "f.part"
    path.write_bytes(bytes(len(DATA)))
    return path


@pytest.fixture
def files(part):
    files = SharedFiles(lambda ref, seconds: memoryview(ref))
    assert files.open("key", str(part)) == (None, None)
    yield files
    files.close_all()


def pieces(*edges, data=DATA):
    return [(a, b, zlib.crc32(data[a:b])) for a, b in itertools.pairwise(edges)]


def test_bytes_go_to_their_place(files, part):
    assert files.write("key", 100, 200, [DATA[100:200]]) == (None, zlib.crc32(DATA[100:200]))
    assert files.put("key", 0, memoryview(DATA)[:100]) == (None, zlib.crc32(DATA[:100]))
    assert files.sync("key") == (None, None)
    assert part.read_bytes()[:200] == DATA[:200]


def test_what_does_not_come_is_lost(part, monkeypatch):
    monkeypatch.setattr("raydl.workers.sharedfiles.LIMIT_SECONDS", 0)
    files = SharedFiles(lambda ref, seconds: None)
    files.open("key", str(part))
    assert files.write("key", 0, 10, [None])[0] == (LOST, "the bytes did not come", "")
    files.close("key")
    assert files.write("key", 0, 10, [None])[0][0] == LOST


def test_what_comes_after_the_close_goes_into_no_other_file(part, tmp_path):
    """The number of a file that is closed is that of the next one that is opened."""
    other = tmp_path / "other"
    other.write_bytes(b"")

    def get(ref, seconds):
        files.close("key")
        opened.append(os.open(other, os.O_RDWR))
        return memoryview(ref)

    files, opened = SharedFiles(get), []
    files.open("key", str(part))
    try:
        assert files.write("key", 0, 10, [DATA[:10]])[0] == (LOST, "the file was closed", "")
    finally:
        os.close(opened[0])
    assert other.read_bytes() == b""


def test_a_close_amid_a_write_gives_the_number_to_nobody(files, part, tmp_path, monkeypatch):
    other, opened, pwrite = tmp_path / "other", [], os.pwrite
    other.write_bytes(b"")

    def half(fd, data, offset):
        if not opened:
            files.close("key")
            opened.append(os.open(other, os.O_RDWR))
            data = data[:100]
        return pwrite(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", half)
    try:
        assert files.put("key", 0, memoryview(DATA)) == (None, zlib.crc32(DATA))
    finally:
        os.close(opened[0])
    assert other.read_bytes() == b""
    assert part.read_bytes() == DATA


def test_an_object_of_another_size_is_not_written(files, part):
    assert files.write("key", 0, 10, [b"x" * 11])[0][0] == LOST
    assert part.read_bytes() == bytes(len(DATA))


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, "DiskError"), (errno.EDQUOT, "DiskError"), (errno.EIO, FAULT)],
)
@pytest.mark.parametrize("when", ["pwrite", "fdatasync"])
def test_a_full_disk_is_that_of_all_a_broken_way_to_it_one_nodes(
    files, monkeypatch, number, kind, when
):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, when, fail)
    answers = [files.put("key", 0, memoryview(DATA)), files.sync("key")]
    [error] = [answer[0] for answer in answers if answer[0] is not None]
    assert error[0] == kind


class TestReadingBack:
    def test_all_of_it_with_its_digest(self, files, part):
        part.write_bytes(DATA)
        first = files.read_back("key", pieces(0, 1000, 3000), "sha256")
        assert first == (None, (3000, hashlib.sha256(DATA[:3000]).hexdigest()))
        second = files.read_back("key", [(3000, 5000, None)], "sha256")
        assert second == (None, (5000, hashlib.sha256(DATA[:5000]).hexdigest()))

    @pytest.mark.parametrize("algorithm", ["sha256", "crc32"])
    def test_it_ends_at_what_is_wrong_and_goes_on_once_that_is_right(self, files, part, algorithm):
        part.write_bytes(DATA[:2000] + b"?" + DATA[2001:])
        wanted = pieces(0, 1000, 3000, 4000)
        _, (stop, _) = files.read_back("key", wanted, algorithm)
        assert stop == 1000
        part.write_bytes(DATA)
        _, (stop, digest) = files.read_back("key", wanted[1:], algorithm)
        whole = hashlib.sha256(DATA[:4000]).hexdigest()
        assert stop == 4000
        assert digest == (whole if algorithm == "sha256" else f"{zlib.crc32(DATA[:4000]):08x}")

    def test_without_a_digest_it_begins_anywhere(self, files, part):
        part.write_bytes(DATA)
        assert files.read_back("key", pieces(500, 700), None) == (None, (700, ""))

    def test_a_digest_does_not_begin_in_the_middle(self, files, part):
        part.write_bytes(DATA)
        assert files.read_back("key", pieces(500, 700), "sha256")[0][0] == LOST

    def test_what_it_wrote_itself_comes_from_the_disk(self, files, part, monkeypatch):
        advised = []
        monkeypatch.setattr(os, "posix_fadvise", lambda fd, *args: advised.append(args))
        files.put("key", 1000, memoryview(DATA)[1000:2000])
        part.write_bytes(DATA)
        files.read_back("key", pieces(0, 1000, 2000, 3000), None)
        assert advised == [(1000, 1000, os.POSIX_FADV_DONTNEED)]

    def test_a_file_that_became_shorter(self, files, part):
        part.write_bytes(DATA[:10])
        assert files.read_back("key", pieces(0, 1000), None)[0][0] == "OutputError"


class TestMeeting:
    def meet(self, part, place):
        files = SharedFiles(lambda ref, seconds: None)
        return files, files.meet("key", str(part), str(place), WORD, REPLY, 2)

    def test_who_sees_the_word_leaves_its_own(self, part, tmp_path):
        (tmp_path / "place").write_text(WORD)
        files, answer = self.meet(part, tmp_path / "place")
        assert answer == (None, None)
        assert (tmp_path / "place").read_bytes()[2 * PLACE_BYTES :] == REPLY.encode()
        assert files.sync("key") == (None, None)
        files.close_all()

    @pytest.mark.parametrize("found", [b"c" * 32, b"", None])
    def test_who_does_not_writes_nothing(self, part, tmp_path, found):
        if found is not None:
            (tmp_path / "place").write_bytes(found)
        files, answer = self.meet(part, tmp_path / "place")
        assert answer[0][0] in (LOST, FAULT)
        assert files.sync("key")[0][0] == LOST
        assert found is None or (tmp_path / "place").read_bytes() == found

    def test_no_link_is_followed(self, part, tmp_path):
        (tmp_path / "word").write_text(WORD)
        (tmp_path / "place").symlink_to(tmp_path / "word")
        assert self.meet(part, tmp_path / "place")[1][0][0] == FAULT
