"""What is in a directory of many files, and whose it is."""

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from raydl.model.errors import BusyError
from raydl.output.ledger import NAME, Known, Ledger
from raydl.output.newfile import NewFile
from raydl.output.shelf import HAS, LACKS, OTHER, Place, Shelf

PLACE = Place(b"k", "f")


@pytest.fixture
def folder(tmp_path):
    """A file came there, and the machine has ended since, before it was certainly on the disk."""
    shelf = Shelf(tmp_path, False, False)
    (tmp_path / "f").write_bytes(b"data")
    written = (tmp_path / "f").stat().st_mtime_ns
    shelf.begin([b"k"])
    shelf.add([(b"k", Known(4, written, None, None, "", ""))])
    shelf.close()
    database = sqlite3.connect(tmp_path / NAME)
    database.execute("UPDATE files SET boot = 'another'")
    database.commit()
    database.close()
    return tmp_path


def look(folder, place=PLACE, **how):
    shelf = Shelf(folder, how.get("overwrite", False), how.get("skip_existing", False))
    found = shelf.look(place)
    shelf.close()
    return found


@pytest.mark.parametrize("skip_existing", [False, True])
def test_what_the_machines_end_has_left_of_it_is_fetched_again(folder, skip_existing):
    written = (folder / "f").stat().st_mtime_ns
    os.truncate(folder / "f", 0)
    os.utime(folder / "f", ns=(written, written))
    found = look(folder, skip_existing=skip_existing)
    assert (found.state, found.stamp) == (LACKS, (0, written))


def test_what_somebody_changed_since_is_his(folder):
    later = (folder / "f").stat().st_mtime_ns + 1
    os.utime(folder / "f", ns=(later, later))
    assert look(folder).state == OTHER


def test_an_older_file_that_somebody_moved_there_is_his(folder):
    for size in (2, 4, 6):
        (folder / "mine").write_bytes(b"x" * size)
        os.utime(folder / "mine", ns=(1, 10**18))
        (folder / "mine").replace(folder / "f")
        assert look(folder).state == OTHER


def put(folder, key, data):
    """What a run writes there, and then is killed."""
    shelf = Shelf(folder, False, False)
    found = shelf.look(PLACE)
    shelf.begin([key])
    file = NewFile(str(folder / "f"), False, found.stamp, seal=shelf.seal(key))
    file.write(memoryview(data))
    stamp = file.publish()
    file.close()
    assert shelf.look(PLACE).stamp is None  # it may be under way twice
    shelf.close()
    return stamp


def test_an_earlier_version_that_the_machines_end_brought_back_is_fetched_again(folder):
    (folder / "f").unlink()
    stamp = put(folder, b"k", b"before")
    assert look(folder)[:3] == (LACKS, 6, stamp)


def test_what_a_killed_run_left_is_ours_until_somebody_writes_it(tmp_path):
    stamp = put(tmp_path, b"k", b"data")
    assert look(tmp_path)[:3] == (LACKS, 4, stamp)
    stamp = put(tmp_path, b"k", b"newer")
    assert (tmp_path / "f").read_bytes() == b"newer"
    assert stamp[1] <= time.time_ns()
    os.utime(tmp_path / "f", ns=(stamp[1] + 1, stamp[1] + 1))
    found = look(tmp_path)
    assert (found.stamp, found.may_be_there) == (None, True)


def test_what_came_from_elsewhere_is_not_ours(tmp_path):
    put(tmp_path, b"k", b"data")
    shelf = Shelf(tmp_path, False, False)
    shelf.begin([b"other"])
    assert shelf.look(Place(b"other", "f")).stamp is None
    shelf.forget(b"k")
    assert shelf.look(PLACE).state == OTHER
    shelf.close()
    (tmp_path / NAME).unlink()
    shelf = Shelf(tmp_path, False, False)
    shelf.begin([b"k"])
    assert shelf.look(PLACE).stamp is None
    shelf.close()


def test_what_is_left_there_has_the_size_that_is_known(tmp_path):
    (tmp_path / "f").write_bytes(b"data")
    assert look(tmp_path, Place(b"k", "f", "", 4), skip_existing=True).state == HAS
    assert look(tmp_path, Place(b"k", "f", "", 5), skip_existing=True).state == OTHER


def test_a_second_run_in_this_process_takes_no_lock_away(tmp_path):
    ledger = Ledger(tmp_path)
    ledger.add([(b"k", Known(4, 1, None, None, "", ""))])
    ledger.save()
    with pytest.raises(BusyError):
        Ledger(tmp_path)
    code = "import sys, pathlib, raydl.output.ledger as it; it.Ledger(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(tmp_path)]
    other = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "BusyError" in other.stderr
    ledger.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="shows what is open")
def test_what_an_empty_one_leaves_behind_is_the_one_that_waited_for_it(tmp_path):
    def count():
        fds = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return sum(os.path.realpath(fd) == str(tmp_path / NAME) for fd in fds)

    ledger, opened = Ledger(tmp_path), []
    waiter = threading.Thread(target=lambda: opened.append(Ledger(tmp_path)))
    waiter.start()
    while count() < 2 and waiter.is_alive():
        time.sleep(0.001)
    ledger.close()
    waiter.join()
    opened[0].add([(b"k", Known(4, 1, None, None, "", ""))])
    opened[0].close()
    ledger = Ledger(tmp_path)
    assert ledger.find(b"k") is not None
    ledger.close()
