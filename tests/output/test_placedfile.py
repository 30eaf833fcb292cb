"""A file whose bytes come in any order: what it has, what it vouches for, and who else is there."""

import contextlib
import errno
import hashlib
import os
import threading
import time
from contextlib import closing

import pytest

from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError, OutputError, TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output import placedfile
from raydl.output.filesink import FileSink
from raydl.output.journal import Journal
from raydl.output.placedfile import PlacedFile
from raydl.output.ranges import reserve
from raydl.output.record import Record, record_path
from tests.conftest import random_bytes
from tests.openfiles import nothing_stays_open

DATA = random_bytes(100_000)
SIZE = len(DATA)
SHA256 = hashlib.sha256(DATA).hexdigest()
DEADLINE = 20


def remote(etag='"1"', url="http://h/f", size=SIZE):
    return Remote(url, url, size, True, etag, None, "f")


def placed(target, found=None, **kwargs):
    found = found or remote()
    usual = {"algorithm": "sha256", "resume": True, "overwrite": False, "proven": False}
    return PlacedFile(target, found, Identity.of(found.url), **{**usual, **kwargs})


def sink(target, **kwargs):
    usual = {"proof": None, "resume": True, "overwrite": False, "check": lambda: None}
    return FileSink(target, remote(), Identity.of("http://h/f"), **{**usual, **kwargs})


def put(file, start, stop):
    file.write(start, memoryview(DATA)[start:stop])


def fill(file):
    for start, stop in file.written.missing(SIZE):
        put(file, start, stop)


def leave(target, *ranges, **kwargs):
    """What an interrupted run leaves."""
    with closing(placed(target, **kwargs)) as file:
        for start, stop in ranges:
            put(file, start, stop)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "f"


def names(target):
    return {path.name for path in target.parent.iterdir()}


def test_bytes_in_any_order_become_the_file(target, no_leaks):
    with closing(placed(target)) as file:
        put(file, 60_000, SIZE)
        put(file, 0, 10)
        assert (file.written, file.is_whole) == (Coverage([(0, 10), (60_000, SIZE)]), False)
        assert file.read(60_000, 60_100) == DATA[60_000:60_100]
        with pytest.raises(OutputError, match="has not all of 5-20"):
            file.read(5, 20)
        assert not target.exists()
        fill(file)
        assert (file.digest(), file.is_whole) == (SHA256, True)
        file.publish()
        assert file.read(0, SIZE) == DATA
    assert target.read_bytes() == DATA
    assert names(target) == {"f", ".f.raydl"}
    assert Record.load(record_path(target)).digests == {"sha256": SHA256}


def test_an_empty_file(target, no_leaks):
    with closing(placed(target, remote(size=0))) as file:
        file.publish()
    assert target.read_bytes() == b""
    assert names(target) == {"f", ".f.raydl"}


def test_without_a_digest_there_is_no_record(target, no_leaks):
    with closing(placed(target, algorithm=None)) as file:
        fill(file)
        assert file.digest() == ""
        file.publish()
    assert names(target) == {"f"}


def test_what_is_left_is_gone_on_from(target, no_leaks):
    leave(target, (0, 1000), (50_000, 60_000))
    assert not target.exists()
    with closing(placed(target)) as file:
        assert file.written == file.synced == Coverage([(0, 1000), (50_000, 60_000)])
        assert file.note == "going on from 10.7 KiB kept from before"
        fill(file)
        file.publish()
    assert target.read_bytes() == DATA


def test_where_nothing_came_nothing_is_left(target, no_leaks):
    leave(target)
    assert names(target) == set()


def test_a_part_of_which_nothing_is_safe_is_begun_anew(target):
    leave(target, (5, 10))
    Journal.of(remote(), Identity.of("http://h/f")).doubted().save(
        target.with_name("f.part.journal")
    )
    with closing(placed(target)) as file:
        assert (file.written.size, file.note) == (0, "starting over: nothing in f.part is certain")


def test_each_goes_on_from_what_the_other_left(target, no_leaks):
    leave(target, (0, 1000), (5000, 6000))
    with closing(sink(target)) as file:
        assert file.kept == Coverage([(0, 1000), (5000, 6000)])
        file.write(memoryview(DATA)[1000:2000], 1000)
    with closing(placed(target)) as file:
        assert file.written == Coverage([(0, 2000), (5000, 6000)])
        fill(file)
        file.publish()
    assert target.read_bytes() == DATA


def test_what_a_process_wrote_before_it_was_killed_is_brought_to_the_disk(target, no_leaks):
    killed = sink(target)
    killed.write(memoryview(DATA)[:3000], 0)
    killed._syncer.note()
    killed._syncer.stop_noting()
    os.close(killed._part.fd)
    with closing(placed(target)) as file:
        assert file.written == Coverage([(0, 3000)])
        assert Journal.load(target.with_name("f.part.journal")).kept(SIZE) != Coverage([(0, SIZE)])
    assert Journal.load(target.with_name("f.part.journal")).kept(SIZE) == Coverage([(0, 3000)])
    killed._digest.close()


def test_the_journal_vouches_for_nothing_that_could_not_be_synced(target, monkeypatch, no_leaks):
    def fails(fd):
        raise OSError(errno.EIO, "Input/output error")

    leave(target, (0, 1000))
    monkeypatch.setattr(os, "fdatasync", fails)
    with closing(placed(target)) as file:
        fill(file)
        with pytest.raises(OutputError, match="Input/output error"):
            file.publish()
        with pytest.raises(OutputError, match="Input/output error"):
            put(file, 0, 10)
    monkeypatch.undo()
    with closing(placed(target)) as file:
        assert file.written == Coverage([(0, 1000)])
    assert not target.exists()


def test_what_came_while_the_disk_was_busy_is_not_vouched_for(target, monkeypatch, no_leaks):
    syncing, go_on, real = threading.Event(), threading.Event(), os.fdatasync

    def slow(fd):
        syncing.set()
        assert go_on.wait(DEADLINE)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    monkeypatch.setattr(placedfile, "SYNC_SECONDS", 1000)
    with closing(placed(target)) as file:
        put(file, 0, 10)
        assert syncing.wait(DEADLINE)
        put(file, 10, 20)
        go_on.set()
        with file._lock:
            assert file._lock.wait_for(lambda: file.synced.size, DEADLINE)
        assert file.synced == Coverage([(0, 10)])
    assert file.synced == Coverage([(0, 20)])  # it is closed


def test_a_disk_that_is_too_small_is_told_before(target, monkeypatch):
    def full(fd, size):
        os.ftruncate(fd, size // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(placedfile, "reserve", full)
    with pytest.raises(OutputError, match=r"97\.7 KiB are needed"):
        placed(target)
    assert names(target) == set()


def test_a_disk_that_is_too_small_costs_nothing_that_is_kept(target, monkeypatch):
    with closing(sink(target)) as file:
        file.write(memoryview(DATA)[:3000], 0)

    def full(fd, size):
        reserve(fd, size)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(placedfile, "reserve", full)
        with pytest.raises(OutputError, match=r"94\.7 KiB are needed"):
            placed(target)
    part = target.with_name("f.part")
    assert part.stat().st_size == 3000
    assert part.stat().st_blocks * 512 < SIZE
    with closing(sink(target)) as file:
        assert file.kept == Coverage([(0, 3000)])


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINTR])
def test_room_where_the_file_system_has_no_call_or_is_interrupted(target, monkeypatch, number):
    import ctypes

    answers = [-1, 0]
    library = type("Library", (), {"fallocate64": staticmethod(lambda *args: answers.pop(0))})
    library.fallocate64 = type("Call", (), {"__call__": lambda *args: answers.pop(0)})()
    monkeypatch.setattr(ctypes, "CDLL", lambda *args, **kwargs: library)
    monkeypatch.setattr(ctypes, "get_errno", lambda: number)
    with target.open("w+b") as file:
        reserve(file.fileno(), 1000)
        assert os.fstat(file.fileno()).st_size == 1000
    assert len(answers) == (number == errno.EOPNOTSUPP)


def test_a_write_that_fails_is_told_and_not_counted(target, monkeypatch, no_leaks):
    def full(fd, data, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(placed(target)) as file:
        put(file, 0, 10)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(OutputError, match="the disk is full"):
                put(file, 10, 20)
        assert file.written == Coverage([(0, 10)])
        fill(file)  # it may have room again
        file.publish()


def test_a_short_write_goes_on(target, monkeypatch, no_leaks):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:777], at))
    with closing(placed(target)) as file:
        fill(file)
        file.publish()
    assert target.read_bytes() == DATA


def test_one_at_a_time(target, no_leaks):
    with closing(placed(target)):
        for other in (placed, sink):
            with pytest.raises(TargetError, match="another raydl is writing"):
                other(target)


def test_the_target_came_into_being(target, no_leaks):
    with closing(placed(target)) as file:
        fill(file)
        target.write_text("a user's")
        with pytest.raises(TargetError, match="has come into being meanwhile"):
            file.publish()
    assert target.read_text() == "a user's"
    with closing(placed(target, overwrite=True)) as file:
        assert file.is_whole
        file.publish()
    assert target.read_bytes() == DATA


def test_a_link_at_the_target_is_replaced_not_followed(target, no_leaks):
    other = target.with_name("other")
    other.write_text("a user's")
    target.symlink_to(other)
    with closing(placed(target, overwrite=True)) as file:
        fill(file)
        file.publish()
    assert other.read_text() == "a user's"
    assert not target.is_symlink()
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_links_in_place_of_the_part_file(target, make):
    """One that leads elsewhere is refused; another name of it, as a backup has, is left alone."""
    other = target.with_name("other")
    other.write_bytes(b"a user's" * 100)
    getattr(target.with_name("f.part"), make)(other)
    with pytest.raises((TargetError, OutputError)):
        placed(target)
    assert other.read_bytes() == b"a user's" * 100


def test_a_backup_of_another_version_is_left_as_it_is(target, no_leaks):
    leave(target, (0, 1000))
    backup = target.with_name("backup")
    backup.hardlink_to(target.with_name("f.part"))
    with closing(placed(target, remote('"2"'))) as file:
        assert file.note == "starting over, f.part does not fit: the file on the origin changed"
        file.write(0, memoryview(bytes(SIZE)))
        file.publish()
    assert backup.read_bytes()[:1000] == DATA[:1000]


def test_what_is_of_another_url_stays(target):
    leave(target, (0, 1000))
    with pytest.raises(TargetError, match="of another URL"):
        placed(target, remote(url="http://other/f"))
    leave(target)
    with closing(placed(target)) as file:
        assert file.written == Coverage([(0, 1000)])


def test_a_part_file_that_somebody_made_longer(target, no_leaks):
    leave(target, (0, 1000))
    with target.with_name("f.part").open("ab") as part:
        part.write(b"more")
    with closing(placed(target)) as file:
        fill(file)
        file.publish()
    assert target.read_bytes() == DATA


def test_a_part_file_that_is_made_longer_meanwhile(target, no_leaks):
    with closing(placed(target)) as file:
        fill(file)
        file.digest()
        with target.with_name("f.part").open("ab") as part:
            part.write(b"more")
        with pytest.raises(OutputError, match="was changed by someone else"):
            file.publish()
    assert not target.exists()


@pytest.mark.parametrize("act", [lambda file: fill(file) or file.publish(), PlacedFile.drop])
def test_what_has_taken_its_place_is_left_alone(target, no_leaks, act):
    part, journal = target.with_name("f.part"), target.with_name("f.part.journal")
    with closing(placed(target)) as file:
        part.unlink()
        part.write_text("another's")
        journal.write_text("another's")
        with contextlib.suppress(OutputError):
            act(file)
    assert (part.read_text(), journal.read_text()) == ("another's", "another's")
    assert not target.exists()


def test_what_comes_late_changes_nothing(target, no_leaks):
    with closing(placed(target)) as file:
        file.write(0, memoryview(DATA))
        file.write(10, memoryview(bytes(100)))
        assert file.digest() == SHA256
        file.publish()
        file.write(0, memoryview(bytes(100)))
    assert target.read_bytes() == DATA


def test_wrong_bytes_are_dropped(target, no_leaks):
    with closing(placed(target)) as file:
        file.write(0, memoryview(bytes(SIZE)))
        assert file.digest() != SHA256
        file.drop()
        with pytest.raises(OutputError, match="was closed"):
            put(file, 0, 10)
    assert names(target) == set()


def test_dropping_waits_for_the_disk(target, monkeypatch, no_leaks):
    """Else what is on its way there would leave a journal that fits nothing."""
    syncing, go_on = threading.Event(), threading.Event()

    def slow(fd):
        syncing.set()
        assert go_on.wait(DEADLINE)

    monkeypatch.setattr(os, "fdatasync", slow)
    with closing(placed(target)) as file:
        put(file, 0, 10)
        assert syncing.wait(DEADLINE)
        dropping = threading.Thread(target=file.drop)
        dropping.start()
        while not file._is_over:
            pass
        go_on.set()
        dropping.join(DEADLINE)
        assert names(target) == set()


def test_who_waits_for_the_digest_is_told(target, no_leaks):
    def cancelled():
        raise CancelledError("cancelled")

    file, errors = placed(target), []
    put(file, 0, 10)
    with pytest.raises(CancelledError):
        file.digest(cancelled)
    waits = threading.Event()

    def wait():
        try:
            file.digest(waits.set)
        except OutputError as error:
            errors.append(error.message)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert waits.wait(DEADLINE)
    file.close()
    waiting.join(DEADLINE)
    assert errors == [f"{target} was closed"]


@pytest.mark.parametrize("call", ["pwrite", "preadv"])
def test_what_is_under_way_when_it_is_closed_touches_no_other_file(
    target, monkeypatch, no_leaks, call
):
    """The number of a file that is closed is that of the next one that is opened."""
    file, real, numbers_seen = placed(target, algorithm=None), getattr(os, call), []
    put(file, 0, 10)

    def late(fd, *args):
        if threading.current_thread() is threading.main_thread():
            monkeypatch.setattr(os, call, real)
            file.close()
            with target.with_name("another").open("w+b") as other:
                numbers_seen.append((fd, other.fileno()))
                return real(fd, *args)
        return real(fd, *args)

    monkeypatch.setattr(os, call, late)
    if call == "pwrite":
        put(file, 10, 20)
    else:
        assert file.read(0, 10) == DATA[:10]
    assert len({*numbers_seen[0]}) == 2
    assert target.with_name("another").read_bytes() == b""


def test_closing_twice_closes_no_other_file(target, no_leaks):
    file = placed(target)
    file.close()
    with target.with_name("another").open("w+b") as other:
        file.close()
        other.write(b"it is open")


def test_nothing_stays_open(target, no_leaks):
    with nothing_stays_open():
        leave(target, (0, 10))
        with pytest.raises(TargetError):
            placed(target, remote(url="http://other/f"))
        with closing(placed(target)) as file:
            file.read(0, 10)
            fill(file)
            file.publish()


def test_a_published_file_that_is_changed_is_no_source_any_more(target, no_leaks):
    with closing(placed(target)) as file:
        fill(file)
        file.publish()
        with target.open("r+b") as changed:
            changed.write(b"changed")
        os.utime(target, ns=(1, 1))
        with pytest.raises(OutputError, match="was changed by someone else"):
            file.read(0, 10)


def test_a_record_that_finds_no_room_is_done_without(target, no_leaks):
    record_path(target).mkdir()
    with closing(placed(target)) as file:
        fill(file)
        file.publish()
    assert target.read_bytes() == DATA


def test_many_intervals(target, monkeypatch, no_leaks):
    """A journal of a hundred thousand is read again."""
    monkeypatch.setattr(placedfile, "reserve", os.ftruncate)
    size = 1 << 30
    found = remote(size=size)
    with closing(placed(target, found, algorithm=None)) as file, file._lock:
        for start in range(1, size, 10_000):
            file._written.add(start, start + 1)
        count = len(file._written)
    assert count > 100_000
    assert target.with_name("f.part.journal").stat().st_size > 1 << 20
    with closing(placed(target, found, algorithm=None)) as file:
        assert len(file.written) == count


def test_many_threads(target, no_leaks):
    """Write and read in all of them, while it is brought to the disk and computed."""
    step, failures = 100, []

    def work(number, file):
        try:
            for start in range(number * step, SIZE, 8 * step):
                put(file, start, start + step)
                assert file.read(start, start + step) == DATA[start : start + step]
                assert file.written.covers(start, start + step)
        except BaseException as error:
            failures.append(error)

    with closing(placed(target)) as file:
        threads = [threading.Thread(target=work, args=(n, file)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert failures == []
        file.publish()
    assert target.read_bytes() == DATA


def test_a_given_digest_allows_for_a_part_without_a_validator(target, no_leaks):
    found = remote(etag=None)
    with closing(placed(target, found)) as file:
        put(file, 0, 10)
    with closing(placed(target, found, proven=True)) as file:
        assert file.written == Coverage([(0, 10)])
    with closing(placed(target, found)) as file:
        assert not file.written.size


def test_a_late_write_of_an_ended_run_is_not_taken_for_what_came_after_it(tmp_path):
    """It makes the file longer; what lies before it is a hole."""
    target = tmp_path / "f"
    leave(target, (0, 1000))
    late = os.open(tmp_path / "f.part", os.O_WRONLY)
    with closing(sink(target)) as first:
        first.write(memoryview(DATA)[1000:5000], 1000)
        os.pwrite(late, DATA[60_000:70_000], 60_000)
    os.close(late)
    with closing(sink(target)) as second:
        assert second.written == 5000
        second.write(memoryview(DATA)[5000:], 5000)
        second.finish()
    assert target.read_bytes() == DATA


def test_what_starts_over_is_another_file_where_somebody_may_still_write(tmp_path):
    target = tmp_path / "f"
    leave(target, (0, 1000))
    late = os.open(tmp_path / "f.part", os.O_WRONLY)
    with closing(sink(target, resume=False)) as again:
        again.write(memoryview(DATA), 0)
        os.pwrite(late, b"old", 500)
        again.finish()
    os.close(late)
    assert target.read_bytes() == DATA


def test_two_that_no_lock_keeps_apart(tmp_path, monkeypatch):
    """One empties no file that the other has digested, and both know who has it."""
    monkeypatch.setattr("raydl.output.partfile.lock_file", lambda descriptor: True)
    target = tmp_path / "f"
    with closing(placed(target)) as first:
        put(first, 0, SIZE // 2)
        while not Journal.load(target.with_name("f.part.journal")).synced:
            time.sleep(0.001)  # else both may save it at once, and either is refused
        with closing(placed(target, resume=False)) as second:
            with contextlib.suppress(OutputError, TargetError):
                fill(first)
            with pytest.raises((OutputError, TargetError)):
                first.publish()
            fill(second)
            assert second.digest() == SHA256
            second.publish()
    assert target.read_bytes() == DATA
