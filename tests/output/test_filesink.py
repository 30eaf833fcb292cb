import errno
import hashlib
import os
import stat
import threading
from contextlib import closing

import pytest

from raydl.model.coverage import Coverage
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import CancelledError, ChecksumError, OutputError, TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output import filedigest, partfile, syncer
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal

DATA = bytes(range(256)) * 40
REMOTE = Remote("http://h/f", "http://h/f", len(DATA), True, '"v1"', None, "f")
SHA = Checksum("sha256", hashlib.sha256(DATA).hexdigest())
WRONG = Checksum("md5", "0" * 32)
DIGEST = '"0123456789abcdef0123456789abcdef"'


def open_sink(path, remote=REMOTE, checksum=None, **kwargs):
    proof = Proof(checksum, "given") if checksum else None
    usual = {"resume": True, "overwrite": False, "check": lambda: None}
    return FileSink(path, remote, Identity.of(remote.url), proof=proof, **{**usual, **kwargs})


def changed(**changes):
    return Remote(**{**REMOTE.__dict__, **changes})


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def put(sink, data, start=None):
    """Write that, behind what is there where nothing else is said."""
    sink.write(memoryview(data), sink.written if start is None else start)


def interrupted(folder, count, **kwargs):
    with closing(open_sink(folder / "f", **kwargs)) as sink:
        put(sink, DATA[:count])


def test_whole_and_verified_before_it_has_its_name(tmp_path):
    with closing(open_sink(tmp_path / "f", checksum=SHA)) as sink:
        put(sink, DATA[:5000])
        assert names(tmp_path) == ["f.part", "f.part.journal"]
        put(sink, DATA[5000:])
        assert sink.finish() == {"sha256": SHA.hex}
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_wrong_digest_leaves_nothing(tmp_path):
    with closing(open_sink(tmp_path / "f", checksum=WRONG)) as sink:
        put(sink, DATA)
        with pytest.raises(ChecksumError, match="were discarded, keep_bad=True keeps them"):
            sink.finish()
    assert names(tmp_path) == []
    assert sink.left == 0


def test_nothing_writes_a_journal_after_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(syncer, "SYNC_BYTES", 100)
    with closing(open_sink(tmp_path / "f", checksum=WRONG)) as sink:
        put(sink, DATA)
        with pytest.raises(ChecksumError):
            sink.finish()
        assert not sink._syncer._thread.is_alive()
    assert names(tmp_path) == []


def test_a_missing_byte_is_noticed(tmp_path):
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA[:-1])
        with pytest.raises(OutputError, match="10239 bytes instead of 10240"):
            sink.finish()
    assert names(tmp_path) == ["f.part", "f.part.journal"]


def test_someone_else_wrote_into_the_part_file(tmp_path):
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA)
        with (tmp_path / "f.part").open("ab") as other:
            other.write(b"x")
        with pytest.raises(OutputError, match="someone else"):
            sink.finish()


@pytest.mark.parametrize("checksum", [None, SHA])
def test_it_goes_on(tmp_path, checksum):
    interrupted(tmp_path, 4000)
    with closing(open_sink(tmp_path / "f", checksum=checksum)) as sink:
        assert sink.kept.prefix == sink.kept.size == sink.written == 4000
        assert sink.note == "going on from 3.9 KiB (39 %) kept from before"
        put(sink, DATA[4000:])
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_whole_part_file_only_has_to_be_finished(tmp_path):
    interrupted(tmp_path, len(DATA))
    with closing(open_sink(tmp_path / "f", checksum=SHA)) as sink:
        assert sink.kept.prefix == len(DATA)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize(
    ("kwargs", "why"),
    [
        ({"resume": False}, "--no-resume"),
        ({"remote": changed(etag='"v2"')}, "changed"),
        ({"remote": changed(size=5)}, "had 10240 bytes and has 5"),
    ],
)
def test_it_starts_over_and_says_why(tmp_path, kwargs, why):
    interrupted(tmp_path, 4000)
    with closing(open_sink(tmp_path / "f", **kwargs)) as sink:
        assert sink.kept.prefix == 0
        assert why in sink.note
        size = kwargs.get("remote", REMOTE).size
        put(sink, b"x" * size)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == b"x" * size


@pytest.mark.parametrize(
    "others",
    [
        {"url": "http://h/g"},
        {"url": "http://h/g", "etag": DIGEST, "size": len(DATA) - 1},
        {"url": "http://h/g", "ranges": False},
        {"url": "http://h/g", "size": None},
        {"url": "http://h/f?id=2"},
    ],
)
@pytest.mark.parametrize("resume", [True, False])
def test_what_is_kept_of_another_url_stays_as_it_is(tmp_path, others, resume):
    interrupted(tmp_path, 4000, remote=changed(etag=others.get("etag", '"v1"')))
    before = (tmp_path / "f.part.journal").read_text()
    with pytest.raises(
        TargetError,
        match=r"f.part has 3.9 KiB of another URL, http://h/f\b.*; overwrite=True .* output=",
    ):
        open_sink(tmp_path / "f", remote=changed(**others), resume=resume)
    assert (tmp_path / "f.part").read_bytes() == DATA[:4000]
    assert (tmp_path / "f.part.journal").read_text() == before
    with closing(open_sink(tmp_path / "f", remote=changed(**others), overwrite=True)) as sink:
        assert sink.kept.prefix == 0
        assert sink.note == "starting over, f.part is of another URL, http://h/f"


def test_an_etag_that_is_a_digest_goes_on_whatever_the_url(tmp_path):
    interrupted(tmp_path, 4000, remote=changed(etag=DIGEST))
    other = changed(url="http://mirror/f", etag=DIGEST)
    with closing(open_sink(tmp_path / "f", remote=other)) as sink:
        assert sink.kept.prefix == 4000
        put(sink, DATA[4000:])
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_of_another_url_nothing_is_left(tmp_path):
    """Where none of it is certain there is nothing to lose."""
    sink = open_sink(tmp_path / "f", remote=changed(size=None))
    put(sink, DATA[:100])
    os.close(sink._part.fd)
    with closing(open_sink(tmp_path / "f", remote=changed(url="http://h/g"))) as other:
        assert other.kept.prefix == 0
        assert other.note == "starting over, f.part is of another URL, http://h/f"


def test_bytes_that_are_not_certain_do_not_count_as_room(tmp_path, monkeypatch):
    interrupted(tmp_path, 4000)
    usual = os.statvfs(tmp_path)
    full = os.statvfs_result([*usual[:4], 0, *usual[5:]])
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(OutputError, match=r" has 0 B free, 6.1 KiB are needed"):
        open_sink(tmp_path / "f", remote=changed(etag='"v2"'))


def test_a_file_that_is_replaced_hands_its_mode_on(tmp_path):
    for mode in (0o600, 0o664, 0o444):
        (tmp_path / "f").write_text("old")
        (tmp_path / "f").chmod(mode)
        with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
            put(sink, DATA)
            assert stat.S_IMODE((tmp_path / "f.part").stat().st_mode) == mode | 0o600
            sink.finish()
        assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode
        assert (tmp_path / "f").read_bytes() == DATA
        (tmp_path / "f").unlink()


def test_a_link_that_is_replaced_has_no_mode_to_hand_on(tmp_path):
    (tmp_path / "f").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text("old")
    (tmp_path / "elsewhere").chmod(0o400)
    with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
        put(sink, DATA)
        sink.finish()
    assert not (tmp_path / "f").is_symlink()
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) != 0o400
    assert (tmp_path / "elsewhere").read_text() == "old"


@pytest.mark.parametrize("remote", [changed(etag='"v2"'), changed(ranges=False)])
def test_what_is_there_stays_until_something_else_comes(tmp_path, remote):
    """Only for a while the origin has another version, and not a byte of it."""
    interrupted(tmp_path, 4000)
    with closing(open_sink(tmp_path / "f", remote=remote)) as sink:
        assert sink.kept.prefix == 0
    assert sink.left == 0
    with closing(open_sink(tmp_path / "f")) as sink:
        assert sink.kept.prefix == 4000


@pytest.mark.parametrize("journal", [None, "{}", "[" * 200_000])
@pytest.mark.parametrize("kwargs", [{}, {"resume": False}, {"remote": changed(ranges=False)}])
def test_a_part_file_that_raydl_did_not_write_stays_as_it_is(tmp_path, journal, kwargs):
    (tmp_path / "f.part").write_bytes(b"somebody's")
    if journal is not None:
        (tmp_path / "f.part.journal").write_text(journal)
    with pytest.raises(TargetError, match=r"f.part is there, without a journal.*; move it away"):
        open_sink(tmp_path / "f", **kwargs)
    assert (tmp_path / "f.part").read_bytes() == b"somebody's"


@pytest.mark.parametrize("remote", [changed(ranges=False), changed(size=None)])
def test_what_a_killed_run_without_ranges_left_is_known_for_raydls(tmp_path, remote):
    sink = open_sink(tmp_path / "f", remote=remote)
    put(sink, DATA[:100])
    os.close(sink._part.fd)
    with closing(open_sink(tmp_path / "f", remote=remote)) as again:
        assert again.kept.prefix == 0
        assert "starting over" in again.note
        put(again, DATA)
        again.finish()
    assert names(tmp_path) == ["f"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("theirs", ["f.part", "f.part.journal"])
def test_what_belongs_to_another_user_is_not_taken_over(tmp_path, theirs):
    interrupted(tmp_path, 4000)
    os.chown(tmp_path / theirs, 12345, 12345)
    with pytest.raises(TargetError, match=r"another user|without a journal of raydl's"):
        open_sink(tmp_path / "f")
    assert (tmp_path / "f.part").read_bytes() == DATA[:4000]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_system_that_gives_all_files_to_one_user(tmp_path, monkeypatch):
    """As an NFS that squashes root does: what raydl makes there is not root's."""
    interrupted(tmp_path, 4000)
    for path in tmp_path.iterdir():
        os.chown(path, 12345, 12345)
    real = os.open

    def squashed(path, flags, mode=0o777, **kwargs):
        fd = real(path, flags, mode, **kwargs)
        if flags & os.O_EXCL:
            os.fchown(fd, 12345, 12345)
        return fd

    monkeypatch.setattr(os, "open", squashed)
    with closing(open_sink(tmp_path / "f")) as sink:
        assert sink.kept.prefix == 4000


def test_a_pipe_in_place_of_the_part_file(tmp_path):
    os.mkfifo(tmp_path / "f.part")
    with pytest.raises(TargetError, match="no regular file"):
        open_sink(tmp_path / "f")


def test_more_than_was_synced_is_dropped_after_a_crash_of_the_machine(tmp_path):
    interrupted(tmp_path, 4000)
    path = tmp_path / "f.part.journal"
    journal = Journal.load(path)
    path.write_text(
        path.read_text().replace(journal.boot or "@", "another").replace("0-4000", "0-1000")
    )
    if not journal.boot:
        pytest.skip("this system does not tell its boots apart")
    with closing(open_sink(tmp_path / "f", checksum=SHA)) as sink:
        assert sink.kept.prefix == 1000
        put(sink, DATA[1000:])
        sink.finish()


FIRST_JOURNAL = (
    '{"url": "http://h/f", "query": "", "size": 10240, "etag": "\\"v1\\"", '
    '"last_modified": null, "boot": "another", "synced": 1000, "version": 1}'
)


def test_it_goes_on_from_what_the_first_version_left(tmp_path):
    (tmp_path / "f.part").write_bytes(DATA[:1000] + bytes(3000))
    (tmp_path / "f.part.journal").write_text(FIRST_JOURNAL)
    with closing(open_sink(tmp_path / "f")) as sink:
        assert list(sink.kept) == [(0, 1000)]
        put(sink, DATA[1000:])
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize("first", [[(0, 1000)], []])
@pytest.mark.parametrize("checksum", [None, SHA])
def test_what_is_behind_a_gap_stays(tmp_path, first, checksum):
    there = Coverage([*first, (1500, 1600)])
    (tmp_path / "f.part").write_bytes(
        b"".join(DATA[at : at + 1] if there.has(at) else b"?" for at in range(4000))
    )
    Journal.of(REMOTE, Identity.of(REMOTE.url)).with_synced(there).save(tmp_path / "f.part.journal")
    with closing(open_sink(tmp_path / "f", checksum=checksum)) as sink:
        assert list(sink.kept) == [*first, (1500, 1600)]
        assert sink.note.startswith("going on from 1.1 KiB" if first else "going on from 100 B")
        for start, stop in reversed(list(sink.kept.missing(len(DATA)))):
            put(sink, DATA[start:stop], start)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_what_is_kept_of_another_url_behind_a_gap_stays_too(tmp_path):
    interrupted(tmp_path, 4000)
    journal = Journal.load(tmp_path / "f.part.journal").with_synced(Coverage([(10, 20)]))
    journal.save(tmp_path / "f.part.journal")
    with pytest.raises(TargetError, match=r"f.part has 10 B of another URL"):
        open_sink(tmp_path / "f", remote=changed(url="http://h/g"))


def test_nothing_is_kept_where_nothing_can_be_resumed(tmp_path):
    for remote in (changed(ranges=False), changed(size=None)):
        interrupted(tmp_path, 4000, remote=remote)
        assert names(tmp_path) == []


def test_an_empty_start_leaves_nothing_behind(tmp_path):
    interrupted(tmp_path, 0)
    assert names(tmp_path) == []


def test_without_a_thread_that_notes_it_comes_all_the_same(tmp_path, monkeypatch):
    def refused(thread):
        raise RuntimeError("can't start new thread")

    with closing(open_sink(tmp_path / "f")) as sink:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refused)
            put(sink, DATA)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_second_raydl_is_refused(tmp_path):
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA[:100])
        with pytest.raises(TargetError, match="another raydl"):
            open_sink(tmp_path / "f")
        put(sink, DATA[100:])
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_part_file_that_was_renamed_while_it_was_being_locked(tmp_path, monkeypatch):
    """The other raydl finishes between our open and our lock: its target stays untouched."""
    interrupted(tmp_path, len(DATA))
    real = partfile.lock_file

    def finished_meanwhile(fd):
        monkeypatch.setattr(partfile, "lock_file", real)
        (tmp_path / "f.part").rename(tmp_path / "f")
        return real(fd)

    monkeypatch.setattr(partfile, "lock_file", finished_meanwhile)
    with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
        assert sink.kept.prefix == 0
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_target_that_comes_into_being_meanwhile_is_not_replaced(tmp_path):
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA)
        (tmp_path / "f").write_text("mine")
        with pytest.raises(TargetError, match="meanwhile"):
            sink.finish()
    assert (tmp_path / "f").read_text() == "mine"
    with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
        assert sink.kept.prefix == len(DATA)
        sink.finish()
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.fixture
def no_links(monkeypatch):
    def link(*args, **kwargs):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", link)


def test_a_file_system_without_links(tmp_path, no_links):
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA)
        sink.finish()
    assert names(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == DATA


def test_nothing_new_is_replaced_without_links_either(tmp_path, no_links, monkeypatch):
    """Whenever it comes into being, even just before the last step."""
    real = partfile._rename_if_free

    def rename(path, name):
        name.write_text("mine")
        real(path, name)

    monkeypatch.setattr(partfile, "_rename_if_free", rename)
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA)
        with pytest.raises(TargetError, match="meanwhile"):
            sink.finish()
    assert (tmp_path / "f").read_text() == "mine"
    assert sink.left == len(DATA)


def test_a_file_system_that_cannot_spare_what_is_there(tmp_path, no_links, monkeypatch):
    def rename(path, name):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(partfile, "_rename_if_free", rename)
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA)
        with pytest.raises(OutputError, match=r"risk of replacing another; .*overwrite=True"):
            sink.finish()
    with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
        assert sink.kept.prefix == len(DATA)
        sink.finish()
    assert names(tmp_path) == ["f"]


def test_what_is_bad_replaces_nothing(tmp_path):
    for _ in range(3):
        with closing(open_sink(tmp_path / "f", checksum=WRONG, keep_bad=True)) as sink:
            put(sink, DATA)
            with pytest.raises(ChecksumError, match=r"the bytes are in .*f\.bad"):
                sink.finish()
        assert sink.left == 0
    assert names(tmp_path) == ["f.bad", "f.bad.1", "f.bad.2"]
    assert all(path.read_bytes() == DATA for path in tmp_path.iterdir())


def test_a_full_disk_keeps_what_is_there(tmp_path, monkeypatch):
    sink = open_sink(tmp_path / "f")
    put(sink, DATA[:4000])
    real = os.pwrite

    def full(fd, data, at):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OutputError, match=r"the disk is full; free some space, call it again"):
        put(sink, DATA[4000:])
    monkeypatch.setattr(os, "pwrite", real)
    sink.close()
    with closing(open_sink(tmp_path / "f")) as again:
        assert again.kept.prefix == 4000


def test_short_writes_are_continued(tmp_path, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:999], at))
    with closing(open_sink(tmp_path / "f", checksum=SHA)) as sink:
        put(sink, DATA)
        sink.finish()


def test_the_directory_is_gone(tmp_path):
    with pytest.raises(OutputError, match="there is no directory"):
        open_sink(tmp_path / "no" / "f")


def test_the_journal_follows_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(syncer, "SYNC_BYTES", 1000)
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA[:5000])
        journal = None
        while journal is None or journal.synced.size == 0:  # bounded by the test's own timeout
            journal = Journal.load(tmp_path / "f.part.journal")
        assert journal.synced.prefix == 5000


def test_another_query_is_another_file(tmp_path):
    one, two = changed(url="http://h/f?id=1&sig=a"), changed(url="http://h/f?id=2&sig=a")
    interrupted(tmp_path, 4000, remote=one)
    with pytest.raises(TargetError, match=r"another URL, http://h/f\?… \(its query is another\)"):
        open_sink(tmp_path / "f", remote=two)


def test_another_signature_is_the_same_file(tmp_path):
    signed = "http://h/f?id=1&AWSAccessKeyId=k&Signature={0}&Expires={0}"
    interrupted(tmp_path, 4000, remote=changed(url=signed.format(1)))
    with closing(open_sink(tmp_path / "f", remote=changed(url=signed.format(2)))) as sink:
        assert sink.kept.prefix == 4000


def test_a_part_file_that_was_removed_and_made_anew_is_not_delivered(tmp_path):
    with closing(open_sink(tmp_path / "f")) as first:
        put(first, DATA)
        (tmp_path / "f.part").unlink()
        with closing(open_sink(tmp_path / "f")) as second:
            put(second, DATA[:30])
            with pytest.raises(OutputError, match="someone else"):
                first.finish()
    assert names(tmp_path) == ["f.part", "f.part.journal"]
    assert (tmp_path / "f.part").read_bytes() == DATA[:30]


def test_what_is_written_is_not_noted_in_the_journal_of_a_run_that_came_meanwhile(
    tmp_path, monkeypatch
):
    """Both journals may have the same line. What the other one has not written would be zeros."""
    monkeypatch.setattr(syncer, "NOTE_SECONDS", 1000)
    with closing(open_sink(tmp_path / "f")) as first:
        put(first, DATA[:5000])
        (tmp_path / "f.part").unlink()
        with closing(open_sink(tmp_path / "f")) as second:
            put(second, DATA[6000:], 6000)
            first._syncer.note()
            assert Journal.load(tmp_path / "f.part.journal").noted.size == 0
            second._syncer.note()
            assert list(Journal.load(tmp_path / "f.part.journal").noted) == [(6000, len(DATA))]


def test_a_journal_of_a_run_that_came_meanwhile_stays(tmp_path):
    first = open_sink(tmp_path / "f")
    put(first, DATA[:5000])
    (tmp_path / "f.part").unlink()
    with closing(open_sink(tmp_path / "f", remote=changed(etag='"v2"'))) as second:
        put(second, DATA[:30])
        first.close()
        assert first.left == 0
        assert Journal.load(tmp_path / "f.part.journal").etag == '"v2"'
    assert (tmp_path / "f.part").read_bytes() == DATA[:30]


def test_only_our_own_file_is_set_aside(tmp_path):
    with closing(open_sink(tmp_path / "f", checksum=WRONG, keep_bad=True)) as sink:
        put(sink, DATA)
        (tmp_path / "f.part").unlink()
        (tmp_path / "f.part").write_text("mine")
        with pytest.raises(OutputError, match="someone else"):
            sink.finish()
    assert (tmp_path / "f.part").read_text() == "mine"
    assert not (tmp_path / "f.bad").exists()


def test_a_crash_between_link_and_unlink_does_not_endanger_the_target(tmp_path):
    interrupted(tmp_path, len(DATA))
    os.link(tmp_path / "f.part", tmp_path / "f")
    with closing(open_sink(tmp_path / "f", overwrite=True)) as sink:
        assert sink.kept.prefix == 0
        put(sink, b"new bytes")
    assert (tmp_path / "f").read_bytes() == DATA


def test_a_part_file_of_others_with_two_names_stays_as_it_is(tmp_path):
    (tmp_path / "f.part").write_text("mine")
    os.link(tmp_path / "f.part", tmp_path / "backup")
    with pytest.raises(TargetError, match="without a journal"):
        open_sink(tmp_path / "f")
    assert names(tmp_path) == ["backup", "f.part"]


@pytest.mark.parametrize("etag", ['"v1"', '"v2"'])
def test_a_part_file_that_was_backed_up_by_a_link(tmp_path, etag):
    interrupted(tmp_path, 4000)
    os.link(tmp_path / "f.part", tmp_path / "backup")
    with closing(open_sink(tmp_path / "f", remote=changed(etag=etag))) as sink:
        assert sink.kept.prefix == (4000 if etag == '"v1"' else 0)
        put(sink, (DATA if sink.kept else DATA[::-1])[sink.kept.size :])
        with pytest.raises(TargetError, match="another raydl"):
            open_sink(tmp_path / "f")
        sink.finish()
    assert (tmp_path / "f").read_bytes() == (DATA if sink.kept else DATA[::-1])
    assert (tmp_path / "backup").read_bytes()[:4000] == DATA[:4000]


def test_a_symbolic_link_in_place_of_the_part_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "f.part").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError):
        open_sink(tmp_path / "f")
    assert (tmp_path / "precious").read_text() == "precious"


def test_bytes_that_did_not_reach_the_disk_are_not_called_safe(tmp_path, monkeypatch):
    """The system tells of a failed write-back once, to whoever syncs first."""
    monkeypatch.setattr(syncer, "SYNC_BYTES", 4000)
    failures = [OSError(errno.EIO, "Input/output error")]

    def fdatasync(fd):
        if failures:
            raise failures.pop()

    monkeypatch.setattr(syncer.os, "fdatasync", fdatasync)
    sink = open_sink(tmp_path / "f")
    put(sink, DATA[:5000])
    sink._syncer._thread.join(10)
    with pytest.raises(OutputError, match="Input/output error"):
        put(sink, DATA[5000:])
    with pytest.raises(OutputError, match="Input/output error"):
        sink.finish()
    sink.close()
    assert Journal.load(tmp_path / "f.part.journal").synced.size == 0
    assert not (tmp_path / "f").exists()


def test_no_space_leaves_nothing_behind(tmp_path):
    with pytest.raises(OutputError, match="are needed"):
        open_sink(tmp_path / "f", remote=changed(size=1 << 60))
    assert names(tmp_path) == []


class SlowDisk:
    """One whose first sync, while a download goes on, takes until ``release``."""

    def __init__(self, monkeypatch):
        self.release, self.busy = threading.Event(), threading.Event()
        monkeypatch.setattr(syncer, "_to_disk", self.to_disk)
        monkeypatch.setattr(syncer, "SYNC_BYTES", 1000)
        monkeypatch.setattr(syncer, "PATIENCE", 0.01)
        monkeypatch.setattr(syncer, "CHECK_SECONDS", 0.01)

    def to_disk(self, fd):
        self.busy.set()
        assert self.release.wait(60)


@pytest.fixture
def slow_disk(monkeypatch):
    disk = SlowDisk(monkeypatch)
    yield disk
    disk.release.set()


def cancelled():
    raise CancelledError("the download was cancelled")


def test_who_leaves_does_not_wait_for_a_slow_disk(tmp_path, slow_disk):
    sink = open_sink(tmp_path / "f", check=cancelled)
    put(sink, DATA[:1500])
    assert slow_disk.busy.wait(60)
    sink.close()
    assert sink.left == 0  # what is certain: it may be the process that ends now
    with pytest.raises(TargetError, match="another raydl"):
        open_sink(tmp_path / "f")
    slow_disk.release.set()
    sink._syncer._thread.join(60)
    with closing(open_sink(tmp_path / "f")) as again:
        assert again.kept.prefix == 1500


def test_no_note_waits_for_a_slow_disk(tmp_path, slow_disk):
    """Whoever leaves waits for the note that is under way."""
    with closing(open_sink(tmp_path / "f", check=cancelled)) as sink:
        put(sink, DATA[:1500])
        assert slow_disk.busy.wait(60)
        put(sink, DATA[1500:1600])
        sink._syncer.note()
        assert not slow_disk.release.is_set()
    journal = Journal.load(tmp_path / "f.part.journal")
    assert (journal.boot, journal.noted.size) == ("", 0)


def test_who_leaves_while_the_last_bytes_go_to_a_slow_disk(tmp_path, slow_disk):
    with closing(open_sink(tmp_path / "f", remote=changed(size=900), check=cancelled)) as sink:
        put(sink, DATA[:900])
        with pytest.raises(CancelledError):
            sink.finish()
    assert slow_disk.busy.is_set()
    assert names(tmp_path) == ["f.part", "f.part.journal"]


def test_an_end_that_nobody_interrupts_waits_for_the_disk(tmp_path, slow_disk):
    """A second start comes in the same process, and needs the file."""
    asked = []

    def check():
        asked.append(True)
        slow_disk.release.set()

    sink = open_sink(tmp_path / "f", check=check)
    put(sink, DATA[:1500])
    sink.close()
    assert asked
    assert sink.left == 1500
    with closing(open_sink(tmp_path / "f")) as again:
        assert again.kept.prefix == 1500


def test_not_much_is_written_that_is_not_safe(tmp_path, slow_disk):
    """So much a kill amid a sync costs: the journal counts on nothing that is being synced."""
    with closing(open_sink(tmp_path / "f", check=cancelled)) as sink:
        put(sink, DATA[:1500])
        put(sink, DATA[1500:1999])
        with pytest.raises(CancelledError):
            put(sink, DATA[1999:3000])


def test_a_slow_disk_gets_less_at_once(tmp_path, monkeypatch):
    now = [0.0]

    def fdatasync(fd):
        now[0] += 4.0

    monkeypatch.setattr(syncer.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(syncer.os, "fdatasync", fdatasync)
    monkeypatch.setattr(syncer, "LEAST_BYTES", 100)
    with closing(open_sink(tmp_path / "f")) as sink:
        put(sink, DATA[:4000])
        sink._syncer.bring()
        assert sink._syncer._stretch == 500
        put(sink, DATA[4000:5001])  # over twice as much: it waits
        assert sink._syncer.synced.size == 5001


def test_a_long_wait_for_the_digest_of_what_is_kept_can_be_ended(tmp_path, monkeypatch):
    interrupted(tmp_path, 4000)
    going, real = threading.Event(), filedigest.fill

    def slow(*args):
        assert going.wait(60)
        real(*args)

    def check():
        going.set()
        raise CancelledError("the download was cancelled")

    monkeypatch.setattr(filedigest, "fill", slow)
    with closing(open_sink(tmp_path / "f", checksum=SHA, check=check)) as sink:
        put(sink, DATA[4000:])
        with pytest.raises(CancelledError):
            sink.finish()
    with closing(open_sink(tmp_path / "f", checksum=SHA)) as sink:
        assert sink.kept.prefix == len(DATA)
