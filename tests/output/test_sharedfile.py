import dataclasses
import time

import pytest

from raydl.model.errors import OutputError, TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output import placedfile
from raydl.output.journal import Journal
from raydl.output.sharedfile import SharedFile

REMOTE = Remote("https://h/f", "https://h/f", 100, True, '"v1"', None, "f")
OTHER = "elsewhere/boot/ 7 0123456789abcdef"


def open_file(tmp_path, remote=REMOTE, **options):
    base = {"resume": True, "overwrite": False, "proven": False}
    return SharedFile(tmp_path / "f", remote, Identity.of(remote.url), **{**base, **options})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def journal(tmp_path):
    return Journal.load(tmp_path / "f.part.journal")


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_journal_has_what_others_said_to_be_safe(tmp_path):
    file = open_file(tmp_path)
    assert (tmp_path / "f.part").stat().st_size == 100
    assert journal(tmp_path).owner == file.owner
    file.note_written(10, 40)
    until(lambda: str(journal(tmp_path).synced) == "10-40")
    file.note_wrong(20, 30)
    until(lambda: str(journal(tmp_path).synced) == "10-20,30-40")
    file.close()
    assert journal(tmp_path).owner is None
    assert file.left == 20
    again = open_file(tmp_path)
    assert str(again.written) == "10-20,30-40"
    again.close()


def test_it_is_published_whole_alone(tmp_path):
    file = open_file(tmp_path)
    (tmp_path / "f.part").write_bytes(b"x" * 100)
    file.note_written(0, 100)
    file.publish()
    file.close()
    assert names(tmp_path) == ["f"]
    assert file.left == 0


def test_nothing_is_left_of_nothing(tmp_path):
    open_file(tmp_path).close()
    assert names(tmp_path) == []


def test_what_is_longer_is_cut(tmp_path):
    file = open_file(tmp_path)
    file.note_written(0, 10)
    file.close()
    with (tmp_path / "f.part").open("ab") as part:
        part.write(b"more")
    open_file(tmp_path).close()
    assert (tmp_path / "f.part").stat().st_size == 100


def test_who_starts_over_makes_a_new_file(tmp_path):
    """What a worker of the run before still writes goes nowhere."""
    file = open_file(tmp_path)
    file.note_written(0, 10)
    file.close()
    with (tmp_path / "f.part").open("r+b") as late:
        again = open_file(tmp_path, resume=False)
        late.write(b"late")
        late.flush()
        assert (tmp_path / "f.part").read_bytes()[:4] == bytes(4)
        again.close()


def test_one_that_was_taken_over_is_let_go(tmp_path):
    file = open_file(tmp_path)
    file.note_written(0, 10)
    until(lambda: journal(tmp_path).synced.size)
    dataclasses.replace(journal(tmp_path), owner=OTHER).save(tmp_path / "f.part.journal")
    file.note_written(0, 100)
    with pytest.raises(TargetError, match="another raydl is writing"):
        file.publish()
    file.close()
    assert journal(tmp_path).owner == OTHER
    assert names(tmp_path) == ["f.part", "f.part.journal"]


def test_one_that_cannot_begin_is_nobodys(tmp_path, monkeypatch):
    file = open_file(tmp_path)
    file.note_written(0, 10)
    file.close()

    def full(fd, size):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(placedfile, "reserve", full)
        with pytest.raises(OutputError, match="are needed"):
            open_file(tmp_path)
    assert journal(tmp_path).owner is None
    again = open_file(tmp_path)
    assert str(again.written) == "0-10"
    again.close()


def test_another_that_has_not_made_room_yet_is_another(tmp_path):
    """Where locks say yes to everybody."""
    open_file(tmp_path).close()
    (tmp_path / "f.part").touch()
    fresh = Journal.of(REMOTE, Identity.of(REMOTE.url))
    dataclasses.replace(fresh, owner=OTHER).save(tmp_path / "f.part.journal")
    with pytest.raises(TargetError, match="another raydl is writing"):
        open_file(tmp_path)
    assert journal(tmp_path).owner == OTHER
