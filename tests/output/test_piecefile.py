"""A file whose pieces have digests: what of it is kept, and that every end of a run is one."""

import contextlib
import os

import pytest

from raydl.model.coverage import Coverage
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import (
    BadPieceError,
    CancelledError,
    ChecksumError,
    OutputError,
    TargetError,
)
from raydl.model.pieces import Pieces
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.filedigest import FileDigest
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal
from raydl.output.piecefile import PieceFile
from raydl.output.piecescan import right_pieces
from raydl.output.syncer import Syncer
from tests.filesteps import Killed, Steps
from tests.metalinks import digests_of

DATA = bytes(range(1, 251)) * 4
SIZE, LENGTH = len(DATA), 130
PIECES = Pieces.of("sha1", LENGTH, SIZE, digests_of(DATA, LENGTH))
SHA1 = Checksum("sha1", digests_of(DATA, SIZE)[0])
RIGHT, WRONG = Proof(SHA1, "given"), Proof(Checksum("md5", "0" * 32), "given")


def remote(etag='"new"', url="http://h/f"):
    return Remote(url, url, SIZE, True, etag, None, "f")


def opened(folder, kind=PieceFile, etag='"new"', url="http://h/f", **kwargs):
    usual = {"proof": RIGHT, "resume": True, "overwrite": False, "check": lambda: None}
    sink = kind if kind is FileSink else lambda *a, **k: kind(PIECES, *a, **k)
    return sink(folder / "f", remote(etag, url), Identity.of(url), **{**usual, **kwargs})


def download(folder, data=DATA, stop=SIZE, **kwargs):
    """A run that comes as far as ``stop``; returns the gaps that it filled."""
    with contextlib.closing(opened(folder, **kwargs)) as sink:
        gaps = list(sink.kept.missing(SIZE))
        for start, end in gaps:
            for at in range(start, min(end, stop), 70):
                sink.write(memoryview(data)[at : min(at + 70, end, stop)], at)
        if stop == SIZE:
            sink.finish()
    return gaps


def whole(folder):
    return (folder / "f").read_bytes() == DATA and sorted(p.name for p in folder.iterdir()) == ["f"]


def test_it_comes(tmp_path):
    assert download(tmp_path) == [(0, SIZE)]
    assert whole(tmp_path)


def test_whole_pieces_are_kept_wherever_they_are(tmp_path):
    download(tmp_path, stop=900)
    with (tmp_path / "f.part").open("r+b") as part:
        part.seek(300)
        part.write(b"rot")
    assert download(tmp_path) == [(260, 390), (780, SIZE)]
    assert whole(tmp_path)


def test_what_an_earlier_run_without_pieces_left_is_held_against_them(tmp_path):
    bad = bytearray(DATA)
    bad[500] ^= 1
    with contextlib.closing(opened(tmp_path, FileSink)) as sink:
        sink.write(memoryview(bytes(bad[:700])), 0)
    assert download(tmp_path, etag='"other"') == [(390, 520), (650, SIZE)]
    assert whole(tmp_path)


def test_a_run_without_pieces_takes_nothing_of_it_on_trust(tmp_path):
    download(tmp_path, stop=900)
    with contextlib.closing(opened(tmp_path, FileSink)) as sink:
        assert sink.kept.size == 0
        sink.write(memoryview(DATA), 0)
        sink.finish()
    assert whole(tmp_path)


def test_what_is_of_another_url_stays_where_nothing_of_it_is_right(tmp_path):
    download(tmp_path, stop=900)
    (tmp_path / "f.part").write_bytes(b"x" * 900)
    journal = Journal.of(remote(), Identity.of("http://h/f")).with_synced(Coverage([(0, 900)]))
    journal.save(tmp_path / "f.part.journal")
    with pytest.raises(TargetError, match="of another URL"):
        opened(tmp_path, url="http://h/g")
    assert download(tmp_path, url="http://h/g", overwrite=True) == [(0, SIZE)]
    assert whole(tmp_path)


def test_a_part_file_without_a_journal_is_somebodys(tmp_path):
    (tmp_path / "f.part").write_bytes(DATA)
    with pytest.raises(TargetError, match="without a journal"):
        opened(tmp_path)
    assert (tmp_path / "f.part").read_bytes() == DATA


def test_no_resume_keeps_nothing(tmp_path):
    download(tmp_path, stop=900)
    assert download(tmp_path, resume=False) == [(0, SIZE)]
    assert whole(tmp_path)


def test_one_that_was_longer_is_cut(tmp_path):
    download(tmp_path, stop=900)
    with (tmp_path / "f.part").open("ab") as part:
        part.write(DATA)
    download(tmp_path)
    assert whole(tmp_path)


@pytest.mark.parametrize("keep_bad", [False, True])
def test_pieces_that_are_right_and_a_file_that_is_not(tmp_path, keep_bad):
    with pytest.raises(ChecksumError):
        download(tmp_path, proof=WRONG, keep_bad=keep_bad)
    assert [path.name for path in tmp_path.iterdir()] == (["f.bad"] if keep_bad else [])


def test_a_cancel_ends_the_reading(tmp_path):
    download(tmp_path, stop=900)

    def check():
        raise CancelledError("cancelled")

    with pytest.raises(CancelledError):
        opened(tmp_path, check=check)
    assert download(tmp_path)[0][0] == 780


@pytest.mark.parametrize("length", [1, 130, 10_000])
def test_what_is_right_of_a_file(tmp_path, length):
    pieces = Pieces.of("md5", length, SIZE, digests_of(DATA, length, "md5"))
    path = tmp_path / "f"
    bad = bytearray(DATA)
    bad[500] ^= 1
    path.write_bytes(bad[:-1])
    with path.open("rb") as file:
        found = right_pieces(file.fileno(), pieces, lambda: None)
    bounds = map(pieces.bounds, range(pieces.count))
    wanted = [(a, b) for a, b in bounds if not (a <= 500 < b or b == SIZE)]
    assert found == Coverage(wanted)


@pytest.fixture
def disk(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


class Scene:
    """Folders in which a run is killed before each step, and what the next one makes of that."""

    def __init__(self, tmp_path, begun, go):
        self.root, self.begun, self.go, self.tried = tmp_path, begun, go, set()
        self.next = tmp_path / "next"
        self.next.mkdir()

    def run(self, name, cut, fail_sync=None):
        folder = self.root / str(name)
        folder.mkdir()
        self.begun(folder)
        safe = {"f.part": 200}
        steps, killed = Steps(folder, cut, fail_sync, safe), False
        with pytest.MonkeyPatch.context() as patch, contextlib.closing(steps):
            steps.watch(patch)
            try:
                self.go(folder)
            except Killed:
                killed = True
            except (OSError, OutputError):
                assert fail_sync is not None
        return steps, killed

    def try_with(self, files):
        if (state := frozenset(files.items())) in self.tried:
            return
        self.tried.add(state)
        for path in self.next.iterdir():
            path.unlink()
        for name, content in files.items():
            (self.next / name).write_bytes(content)
        if files.get("f") != DATA:
            self.go(self.next)
        assert (self.next / "f").read_bytes() == DATA

    def kill(self, first=0, fail_sync=None):
        """Returns how many steps there are."""
        killed, cut = True, first
        while killed:
            steps, killed = self.run(cut, cut, fail_sync)
            now = {path.name: path.read_bytes() for path in steps.folder.iterdir()}
            self.must_be_sound(now)
            self.try_with(now)
            for files in steps.after_a_power_cut:
                self.must_be_sound(files)
                self.try_with(files)
            cut += 1
        return cut

    def must_be_sound(self, files):
        """What has the target's name is whole, or was there before."""
        old = self.root / "old"
        if not old.exists():
            old.mkdir()
            self.begun(old)
        before = (old / "f").read_bytes() if (old / "f").exists() else None
        assert files.get("f", before) in (DATA, before)


def begin(folder):
    download(folder, stop=600)


def bring_all(folder):
    """Only the end is missing."""
    with contextlib.closing(opened(folder)) as sink:
        sink.write(memoryview(DATA), 0)


@pytest.mark.usefixtures("disk")
class TestEveryStep:
    @pytest.mark.parametrize(
        "begun", [lambda folder: None, begin, bring_all], ids=["new", "begun", "all"]
    )
    def test_killed(self, tmp_path, begun):
        assert Scene(tmp_path, begun, download).kill() > 5

    @pytest.mark.parametrize("fail_sync", range(4))
    def test_killed_after_bytes_were_lost(self, tmp_path, fail_sync):
        scene = Scene(tmp_path, begin, download)
        steps, _ = scene.run("before", None, fail_sync)
        if steps.failed_at is not None:
            scene.kill(steps.failed_at, fail_sync)


def test_without_a_digest_of_the_whole_pieces_are_compared_once_more(tmp_path):
    """A node may hand over other bytes than it compared."""
    bad = bytearray(DATA)
    bad[600] ^= 1
    with pytest.raises(BadPieceError, match=r"130 B of .*f.part are not as they were fetched"):
        download(tmp_path, bytes(bad), proof=None)
    assert not (tmp_path / "f").exists()
    assert download(tmp_path, proof=None) == [(520, 650)]
    assert whole(tmp_path)


# --- a finished file with bad pieces ---


def rotten(folder, *positions, size=SIZE):
    bad = bytearray(DATA)
    for position in positions:
        bad[position] ^= 1
    (folder / "f").write_bytes(bad[:size])


def mend(folder):
    return download(folder, mend=True)


def test_only_bad_pieces_come(tmp_path):
    rotten(tmp_path, 3, 600)
    os.chmod(tmp_path / "f", 0o640)
    os.link(tmp_path / "f", tmp_path / "backup")
    before = (tmp_path / "f").read_bytes()
    assert mend(tmp_path) == [(0, 130), (520, 650)]
    assert (tmp_path / "f").read_bytes() == DATA
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "backup").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("size", [0, 700])
def test_what_is_cut_off_comes(tmp_path, size):
    rotten(tmp_path, size=size)
    assert mend(tmp_path) == [(size // LENGTH * LENGTH, SIZE)]
    assert whole(tmp_path)


def test_what_is_too_long_is_cut(tmp_path):
    (tmp_path / "f").write_bytes(DATA + b"more")
    assert mend(tmp_path) == []
    assert whole(tmp_path)


def test_it_stays_as_it_is_until_all_came(tmp_path):
    rotten(tmp_path, 3, 600)
    before = (tmp_path / "f").read_bytes()
    download(tmp_path, mend=True, stop=550)
    assert (tmp_path / "f").read_bytes() == before
    assert mend(tmp_path) == [(520, 650)]
    assert whole(tmp_path)


def test_pieces_of_both_an_interrupted_run_and_the_file_count(tmp_path):
    begin(tmp_path)
    rotten(tmp_path, 3, 600, 700)
    assert mend(tmp_path) == [(520, 780)]
    assert whole(tmp_path)


def test_a_file_that_somebody_changes_meanwhile_is_not_replaced(tmp_path):
    rotten(tmp_path, 3)
    with contextlib.closing(opened(tmp_path, mend=True)) as sink:
        sink.write(memoryview(DATA)[:130], 0)
        (tmp_path / "f").write_bytes(b"mine")
        with pytest.raises(TargetError, match="was changed meanwhile"):
            sink.finish()
    assert (tmp_path / "f").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("kind", "step"), [(Syncer, "settle"), (FileDigest, "verify"), (Syncer, "bring")]
)
@pytest.mark.parametrize("change", ["written", "replaced", "removed"])
def test_no_step_of_the_end_is_too_late_for_a_change(tmp_path, monkeypatch, kind, step, change):
    """Digest and disk may take minutes."""
    rotten(tmp_path, 3)
    target, real = tmp_path / "f", getattr(kind, step)

    def meanwhile(*args):
        if change != "written":
            target.unlink(missing_ok=True)
        if change != "removed":
            target.write_bytes(b"mine")
        return real(*args)

    with contextlib.closing(opened(tmp_path, mend=True)) as sink:
        sink.write(memoryview(DATA)[:130], 0)
        monkeypatch.setattr(kind, step, meanwhile)
        with pytest.raises(TargetError, match="was changed meanwhile"):
            sink.finish()
    assert target.exists() == (change != "removed")
    if target.exists():
        assert target.read_bytes() == b"mine"
        monkeypatch.undo()
        assert mend(tmp_path) == []
    assert (tmp_path / "f.part").exists() != target.exists()


def test_a_wrong_digest_of_the_whole_leaves_it(tmp_path):
    rotten(tmp_path, 3)
    before = (tmp_path / "f").read_bytes()
    with pytest.raises(ChecksumError):
        download(tmp_path, mend=True, proof=WRONG)
    assert (tmp_path / "f").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def rot(folder):
    rotten(folder, 3, 600)


def rot_of_a_begun(folder):
    begin(folder)
    rotten(folder, 3, 700)


@pytest.mark.usefixtures("disk")
@pytest.mark.parametrize("begun", [rot, rot_of_a_begun])
class TestEveryStepOfARepair:
    def test_killed(self, tmp_path, begun):
        assert Scene(tmp_path, begun, mend).kill() > 10

    @pytest.mark.parametrize("fail_sync", range(4))
    def test_killed_after_bytes_were_lost(self, tmp_path, begun, fail_sync):
        scene = Scene(tmp_path, begun, mend)
        steps, _ = scene.run("before", None, fail_sync)
        if steps.failed_at is not None:
            scene.kill(steps.failed_at, fail_sync)
