"""The queue of the coordinator's window, without a window."""

import os

import pytest

from raydl.gui.lineup import Lineup, Stage
from raydl.model.coverage import Coverage
from raydl.model.errors import CancelledError, ChecksumError, NetworkError, OutputError, TargetError
from raydl.model.events import Planned, Probed, Progress
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.view.partmap import State
from raydl.view.status import Phase

URL = "https://h/path/file.bin?signature=secret"


class Backend:
    def __init__(self):
        self.asked, self.number = [], 1

    def __getattr__(self, name):
        def ask(*args):
            self.asked.append((name, *args))
            return self.number

        return ask


def make():
    backend, changed = Backend(), []
    lineup = Lineup(backend, lambda item: changed.append((item.key, item.stage)))
    return lineup, backend, changed


def ended(item, error=None):
    report = Report(item.url, "out/there.bin", 10) if error is None else None
    return ("ended", item.key, report, error)


def leave(folder, name, length, url="http://h/a", size=100):
    """What an interrupted download leaves."""
    remote = Remote(url, url, size, True, '"v1"', None, name)
    (folder / f"{name}.part").write_bytes(b"x" * length)
    journal = Journal.of(remote, Identity.of(url)).with_synced(Coverage([(0, length)]))
    journal.save(folder / f"{name}.part.journal")
    return remote


def test_one_after_the_other():
    lineup, backend, changed = make()
    lineup.address = "h:1"
    first, second = lineup.add("http://h/a", "", {"parts": 3}), lineup.add("http://h/b", "x/", {})
    assert (first.stage, second.stage) == (Stage.RUNNING, Stage.QUEUED)
    assert backend.asked == [("start", 1, "http://h/a", None, {"address": "h:1", "parts": 3})]
    lineup.take(ended(first))
    assert (first.stage, second.stage) == (Stage.DONE, Stage.RUNNING)
    assert backend.asked[-1] == ("start", 2, "http://h/b", "x/", {"address": "h:1"})
    assert first.share == 1.0
    assert changed == [
        (1, Stage.QUEUED), (1, Stage.RUNNING), (2, Stage.QUEUED), (1, Stage.DONE),
        (2, Stage.RUNNING),
    ]  # fmt: skip


def test_pause_resume_cancel_and_on_again(tmp_path):
    lineup, backend, _ = make()
    item = lineup.add("http://h/a", str(tmp_path / "a"), {})
    lineup.toggle(item)
    assert item.stage is Stage.PAUSED
    lineup.toggle(item)
    assert item.stage is Stage.RUNNING
    lineup.cancel(item)
    assert item.stage is Stage.CANCELLING
    lineup.toggle(item)
    lineup.cancel(item)
    assert [name for name, *_ in backend.asked] == ["start", "pause", "resume", "cancel"]
    leave(tmp_path, "a", 7)
    lineup.take(ended(item, CancelledError("cancelled")))
    assert (item.stage, item.left.kept, item.tally.phase) == (Stage.STOPPED, 7, Phase.STOPPED)
    lineup.toggle(item)
    assert (item.stage, item.error) == (Stage.RUNNING, None)
    lineup.take(ended(item, NetworkError("gone")))
    assert item.stage is Stage.FAILED
    assert item.can_go_on


def test_a_queued_one_is_taken_off():
    lineup, backend, _ = make()
    first, second = lineup.add("http://h/a", "", {}), lineup.add("http://h/b", "", {})
    lineup.remove(first)
    assert len(lineup.items) == 2
    lineup.cancel(second)
    assert second.stage is Stage.STOPPED
    lineup.remove(second)
    assert lineup.items == [first]
    assert len(backend.asked) == 1


@pytest.mark.parametrize("name", ["a.iso", ""])
def test_one_of_before_waits_to_be_resumed(tmp_path, name):
    """It shows what is left of it, where the origin's name for it is known."""
    lineup, backend, _ = make()
    leave(tmp_path, "a.iso", 40)
    old = lineup.offer("http://h/a", f"{tmp_path}/", {}, name)
    assert not backend.asked
    if name:
        assert (old.name, old.left.kept, old.share) == ("a.iso", 40, 0.4)
        assert old.parts.cell(10).state is State.WRITTEN
        assert old.parts.cell(200).state is State.WAITING
    else:
        assert (old.name, old.left.kept, old.share) == ("a", 0, None)
    lineup.toggle(old)
    assert old.stage is Stage.RUNNING
    assert old.left.kept == 0


def test_what_is_left_is_what_is_on_the_disk(tmp_path):
    lineup, _, _ = make()
    item = lineup.add("http://h/a", str(tmp_path / "a"), {})
    for error, length, url, kept in (
        (ChecksumError("wrong"), None, "http://h/a", 0),  # all of it was dropped
        (NetworkError("gone"), 60, "http://h/a", 60),
        (TargetError("taken"), 100, "http://h/a", 100),
        (NetworkError("gone"), 60, "http://h/another", 0),
    ):
        remote = leave(tmp_path, "a", length or 0, url)
        if length is None:
            os.unlink(tmp_path / "a.part")
        for event in (
            Probed(remote),
            Planned(0, 100, None, 10, ""),
            Progress(90, 80, 100, 1, 1, 0),
        ):
            lineup.take(("event", item.key, event))
        assert item.share == 0.9
        lineup.take(ended(item, error))
        assert (item.stage, item.left.kept, item.share) == (Stage.FAILED, kept, kept / 100)
        lineup.toggle(item)


def test_a_file_in_the_way(tmp_path):
    lineup, backend, _ = make()
    item = lineup.add("http://h/a", f"{tmp_path}/", {"skip_existing": False, "parts": 3})
    lineup.take(("event", item.key, Probed(leave(tmp_path, "a.iso", 0))))
    lineup.take(ended(item, TargetError("another raydl is writing it")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, True)
    (tmp_path / "a.iso").write_text("old")
    assert item.is_in_the_way
    lineup.overwrite(item)
    assert item.stage is Stage.RUNNING
    options = backend.asked[-1][-1]
    assert (options["overwrite"], options["skip_existing"], options["parts"]) == (True, False, 3)
    lineup.take(ended(item, OutputError("no permission")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, True)
    lineup.move(item, str(tmp_path / "b.iso"))
    assert backend.asked[-1][3] == str(tmp_path / "b.iso")
    assert item.name == "b.iso"
    lineup.take(ended(item, NetworkError("gone")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, False)


def test_what_is_kept_of_another_url_is_in_the_way(tmp_path):
    lineup, _, _ = make()
    item = lineup.add("http://h/a", str(tmp_path / "a"), {})
    leave(tmp_path, "a", 60, "http://h/another")
    lineup.take(ended(item, TargetError("of another URL")))
    assert (item.is_in_the_way, item.wants_another_place, item.left.kept) == (True, True, 0)
    lineup.overwrite(item)
    leave(tmp_path, "a", 60, "http://h/a")
    lineup.take(ended(item, TargetError("another raydl is writing it")))
    assert (item.is_in_the_way, item.left.kept) == (False, 60)
    lineup.toggle(item)
    leave(tmp_path, "a", 60, "http://h/a?id=2")
    lineup.take(ended(item, TargetError("of another URL")))
    assert (item.is_in_the_way, item.left.kept) == (True, 0)


def test_events_reach_their_item_and_no_other():
    lineup, _, _ = make()
    item = lineup.add(URL, "", {})
    assert item.name == "file.bin"
    assert "secret" not in repr(item)
    assert item.share is None
    remote = Remote(URL, URL, 100, True, None, None, "better.bin")
    for event in (Probed(remote), Planned(0, 100, None, 10, ""), Progress(50, 0, 100, 1, 1, 0)):
        assert lineup.take(("event", item.key, event)) is item
    assert (item.name, item.share) == ("better.bin", 0.5)
    assert lineup.take(("event", 99, Progress(1, 1, 1, 1, 1, 1))) is None
    lineup.take(ended(item))
    assert item.name == "there.bin"


def test_the_process_died():
    lineup, _, _ = make()
    assert lineup.take(("died", 1)) is None
    first, second = lineup.add("http://h/a", "", {}), lineup.add("http://h/b", "", {})
    lineup.take(("died", 0))  # one of before
    assert first.stage is Stage.RUNNING
    lineup.take(("died", 1))
    assert first.stage is Stage.FAILED
    assert first.tally.phase is Phase.FAILED
    assert "has ended" in first.error.message
    assert second.stage is Stage.RUNNING


def test_once_it_is_closed_nothing_begins():
    lineup, backend, _ = make()
    first, second = lineup.add("http://h/a", "", {}), lineup.add("http://h/b", "", {})
    lineup.is_closed = True
    lineup.take(ended(first, CancelledError("cancelled")))
    assert (first.stage, second.stage) == (Stage.STOPPED, Stage.QUEUED)
    assert len(backend.asked) == 1


def test_a_name_for_anything():
    lineup, _, _ = make()
    assert lineup.add("http://[bad/f", "", {}).name
