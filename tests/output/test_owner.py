import os
import subprocess
import sys

import pytest

from raydl.output import owner as module
from raydl.output.owner import is_alive, meeting_place, new_owner, nonce_of


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "f.part.journal"
    path.touch()
    return path


def aged(path, seconds):
    """That long ago by the clock of the file system."""
    now = path.stat().st_mtime
    os.utime(path, (now, now - seconds))


def test_two_runs_are_never_the_same(tmp_path):
    first, second = new_owner(), new_owner()
    assert nonce_of(first) != nonce_of(second)
    assert meeting_place(tmp_path / "f", first) != meeting_place(tmp_path / "f", second)


def test_one_of_this_process_lives_as_long_as_it_writes(journal, monkeypatch):
    owner = new_owner()
    assert not is_alive(owner, journal)
    monkeypatch.setattr(module, "OWNERS_HERE", {owner})
    aged(journal, 3600)
    assert is_alive(owner, journal)


def test_one_of_this_host_is_gone_with_its_process(journal):
    code = "from raydl.output.owner import new_owner; print(new_owner())"
    owner = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert not is_alive(owner, journal)
    place, _, nonce = owner.split(" ")
    assert is_alive(f"{place} {os.getppid()} {nonce}", journal)


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux tells it")
def test_one_that_ended_and_that_nobody_asked_for_is_gone(journal):
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    place, _, nonce = new_owner().split(" ")
    assert not is_alive(f"{place} {process.pid} {nonce}", journal)
    process.wait()


@pytest.mark.parametrize("owner", ["elsewhere/boot/ 7 abc", "nonsense", ""])
def test_one_of_another_host_is_gone_once_the_journal_is_old(journal, owner):
    assert is_alive(owner, journal)
    aged(journal, 60)
    assert not is_alive(owner, journal)
