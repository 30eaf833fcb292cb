"""The queue of the coordinator's window, without a window."""

import os

import pytest

from raydl.gui.downloadqueue import DownloadQueue
from raydl.model.coverage import Coverage
from raydl.model.errors import (
    CancelledError,
    ChecksumError,
    IncompleteError,
    NetworkError,
    OutputError,
    TargetError,
)
from raydl.model.events import Continued, Failed, Finished, Paused, Planned, Probed, Progress
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.model.state import DownloadState
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.partfile import lock_file
from raydl.view.partmap import CellState
from tests.view.copies import SIZE, copy, now, report_of

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
    queue = DownloadQueue(backend, lambda item: changed.append((item.key, item.state)))
    return queue, backend, changed


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
    queue, backend, changed = make()
    queue.address = "h:1"
    first, second = queue.add("http://h/a", "", {"parts": 3}), queue.add("http://h/b", "x/", {})
    assert (first.state, second.state) == (DownloadState.RUNNING, DownloadState.QUEUED)
    assert backend.asked == [("start", 1, "http://h/a", None, {"address": "h:1", "parts": 3})]
    queue.take(ended(first))
    assert (first.state, second.state) == (DownloadState.DONE, DownloadState.RUNNING)
    assert backend.asked[-1] == ("start", 2, "http://h/b", "x/", {"address": "h:1"})
    assert first.share == 1.0
    assert changed == [
        (1, DownloadState.QUEUED),
        (1, DownloadState.RUNNING),
        (2, DownloadState.QUEUED),
        (1, DownloadState.DONE),
        (2, DownloadState.RUNNING),
    ]


def test_pause_resume_cancel_and_on_again(tmp_path):
    queue, backend, _ = make()
    item = queue.add("http://h/a", str(tmp_path / "a"), {})
    queue.toggle(item)
    assert item.state is DownloadState.PAUSED
    queue.toggle(item)
    assert item.state is DownloadState.RUNNING
    queue.cancel(item)
    assert item.state is DownloadState.CANCELLING
    queue.toggle(item)
    queue.cancel(item)
    assert [name for name, *_ in backend.asked] == ["start", "pause", "resume", "cancel"]
    leave(tmp_path, "a", 7)
    queue.take(ended(item, CancelledError("cancelled")))
    assert (item.state, item.left.kept) == (DownloadState.STOPPED, 7)
    queue.toggle(item)
    assert (item.state, item.error) == (DownloadState.RUNNING, None)
    queue.take(ended(item, NetworkError("gone")))
    assert item.state is DownloadState.FAILED
    assert item.state.can_go_on


@pytest.mark.parametrize("late", [Paused(), Continued(), Progress(50, 0, 100, 1, 1, 0)])
def test_what_was_said_before_a_cancel_changes_nothing(late):
    queue, *_ = make()
    item = queue.add("http://h/a", "", {})
    queue.cancel(item)
    queue.take(("event", item.key, late))
    assert item.state is DownloadState.CANCELLING


def test_a_pause_lasts_until_it_is_told_to_go_on():
    queue, *_ = make()
    item = queue.add("http://h/a", "", {})
    queue.toggle(item)
    for event in (Planned(0, 100, None, 10, ""), Progress(50, 0, 100, 1, 1, 0), Paused()):
        queue.take(("event", item.key, event))
        assert item.state is DownloadState.PAUSED
        assert "paused" in item.status.summary()


def test_it_ends_when_the_backend_is_done_with_it():
    """The last event comes before that: begun again by then, the backend would end it twice."""
    queue, *_ = make()
    first, second = queue.add("http://h/a", "", {}), queue.add("http://h/b", "", {})
    error = NetworkError("gone")
    for event in (Failed.of(error), Finished(Report("http://h/a", "a", 10))):
        queue.take(("event", first.key, event))
        assert (first.state, second.state) == (DownloadState.RUNNING, DownloadState.QUEUED)
    queue.take(ended(first, error))
    assert (first.state, second.state) == (DownloadState.FAILED, DownloadState.RUNNING)


def test_a_queued_one_is_taken_off():
    queue, backend, _ = make()
    first, second = queue.add("http://h/a", "", {}), queue.add("http://h/b", "", {})
    queue.remove(second)
    assert second.state is DownloadState.STOPPED
    assert queue.items == [first]
    assert len(backend.asked) == 1


def test_one_that_runs_is_taken_off_once_it_has_ended(tmp_path):
    queue, _, changed = make()
    first = queue.add("http://h/a", str(tmp_path / "a"), {})
    second = queue.add("http://h/b", "", {})
    queue.remove(first)
    assert (first.state, queue.items) == (DownloadState.CANCELLING, [first, second])
    leave(tmp_path, "a", 7)
    queue.take(ended(first, CancelledError("cancelled")))
    assert queue.items == [second]
    assert second.state is DownloadState.RUNNING
    assert (first.key, DownloadState.STOPPED) in changed
    assert (tmp_path / "a.part").exists()


def test_a_partial_file_is_deleted_with_what_vouches_for_it_and_nothing_else(tmp_path):
    queue, *_ = make()
    item = queue.add("http://h/a", str(tmp_path / "a"), {})
    queue.cancel(item, delete=True)
    leave(tmp_path, "a", 7)
    leave(tmp_path, "b", 7)
    queue.take(ended(item, CancelledError("cancelled")))
    assert (item.left.kept, item.can_resume) == (0, False)
    assert {path.name for path in tmp_path.iterdir()} == {"b.part", "b.part.journal"}
    anothers = queue.offer("http://h/other", str(tmp_path / "b"), {})
    queue.remove(anothers, delete=True)
    assert (tmp_path / "b.part").exists()
    mine = queue.offer("http://h/a", str(tmp_path / "b"), {})
    assert mine.partial == 7
    with open(tmp_path / "b.part", "rb+") as file:
        assert lock_file(file.fileno())
        queue.remove(mine, delete=True)
        assert (tmp_path / "b.part").exists()
    mine.discard()
    assert list(tmp_path.iterdir()) == []


def test_those_that_are_done_are_cleared(tmp_path):
    queue, *_ = make()
    first, second, third = (queue.add(f"http://h/{n}", "", {}) for n in "abc")
    queue.take(ended(first))
    queue.take(ended(second, NetworkError("gone")))
    queue.clear_finished()
    assert queue.items == [second, third]


def test_a_name_beside_one_that_is_taken(tmp_path):
    queue, *_ = make()
    for name, there, free in (
        ("a.iso", (), "a (1).iso"),
        ("a.iso", ("a (1).iso", "a (2).iso.part"), "a (3).iso"),
        ("b.tar.gz", (), "b (1).tar.gz"),
        ("c", (), "c (1)"),
    ):
        for other in there:
            (tmp_path / other).touch()
        assert queue.offer("http://h/a", str(tmp_path / name), {}).beside == str(tmp_path / free)


@pytest.mark.parametrize("name", ["a.iso", ""])
def test_one_of_before_waits_to_be_resumed(tmp_path, name):
    """It shows what is left of it, where the origin's name for it is known."""
    queue, backend, _ = make()
    leave(tmp_path, "a.iso", 40)
    old = queue.offer("http://h/a", f"{tmp_path}/", {}, name)
    assert not backend.asked
    if name:
        assert (old.name, old.left.kept, old.share) == ("a.iso", 40, 0.4)
        assert old.parts.cell(10).state is CellState.WRITTEN
        assert old.parts.cell(200).state is CellState.WAITING
    else:
        assert (old.name, old.left.kept, old.share) == ("a", 0, None)
    queue.toggle(old)
    assert old.state is DownloadState.RUNNING
    assert old.left.kept == 0


def test_what_is_left_is_what_is_on_the_disk(tmp_path):
    queue, _, _ = make()
    item = queue.add("http://h/a", str(tmp_path / "a"), {})
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
            queue.take(("event", item.key, event))
        assert item.share == 0.9
        queue.take(ended(item, error))
        assert (item.state, item.left.kept, item.share) == (DownloadState.FAILED, kept, kept / 100)
        queue.toggle(item)


def test_a_file_in_the_way(tmp_path):
    queue, backend, _ = make()
    item = queue.add("http://h/a", f"{tmp_path}/", {"skip_existing": False, "parts": 3})
    queue.take(("event", item.key, Probed(leave(tmp_path, "a.iso", 0))))
    queue.take(ended(item, TargetError("another raydl is writing it")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, True)
    (tmp_path / "a.iso").write_text("old")
    assert item.is_in_the_way
    queue.overwrite(item)
    assert item.state is DownloadState.RUNNING
    options = backend.asked[-1][-1]
    assert (options["overwrite"], options["skip_existing"], options["parts"]) == (True, False, 3)
    queue.take(ended(item, OutputError("no permission")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, True)
    queue.move(item, str(tmp_path / "b.iso"))
    assert backend.asked[-1][3] == str(tmp_path / "b.iso")
    assert item.name == "b.iso"
    queue.take(ended(item, NetworkError("gone")))
    assert (item.is_in_the_way, item.wants_another_place) == (False, False)


def test_what_is_kept_of_another_url_is_in_the_way(tmp_path):
    queue, _, _ = make()
    item = queue.add("http://h/a", str(tmp_path / "a"), {})
    leave(tmp_path, "a", 60, "http://h/another")
    queue.take(ended(item, TargetError("of another URL")))
    assert (item.is_in_the_way, item.wants_another_place, item.left.kept) == (True, True, 0)
    queue.overwrite(item)
    leave(tmp_path, "a", 60, "http://h/a")
    queue.take(ended(item, TargetError("another raydl is writing it")))
    assert (item.is_in_the_way, item.left.kept) == (False, 60)
    queue.toggle(item)
    leave(tmp_path, "a", 60, "http://h/a?id=2")
    queue.take(ended(item, TargetError("of another URL")))
    assert (item.is_in_the_way, item.left.kept) == (True, 0)


def test_events_reach_their_item_and_no_other():
    queue, _, _ = make()
    item = queue.add(URL, "", {})
    assert item.name == "file.bin"
    assert "secret" not in repr(item)
    assert item.share is None
    remote = Remote(URL, URL, 100, True, None, None, "better.bin")
    for event in (Probed(remote), Planned(0, 100, None, 10, ""), Progress(50, 0, 100, 1, 1, 0)):
        assert queue.take(("event", item.key, event)) is item
    assert (item.name, item.share) == ("better.bin", 0.5)
    assert queue.take(("event", 99, Progress(1, 1, 1, 1, 1, 1))) is None
    queue.take(ended(item))
    assert item.name == "there.bin"


def test_the_process_died():
    queue, _, _ = make()
    assert queue.take(("died", 1)) is None
    first, second = queue.add("http://h/a", "", {}), queue.add("http://h/b", "", {})
    queue.take(("died", 0))  # one of before
    assert first.state is DownloadState.RUNNING
    queue.take(("died", 1))
    assert first.state is DownloadState.FAILED
    assert "has ended" in first.error.message
    assert second.state is DownloadState.RUNNING


def test_once_it_is_closed_nothing_begins():
    queue, backend, _ = make()
    first, second = queue.add("http://h/a", "", {}), queue.add("http://h/b", "", {})
    queue.is_closed = True
    queue.take(ended(first, CancelledError("cancelled")))
    assert (first.state, second.state) == (DownloadState.STOPPED, DownloadState.QUEUED)
    assert len(backend.asked) == 1


def test_a_name_for_anything():
    queue, _, _ = make()
    assert queue.add("http://[bad/f", "", {}).name


def test_what_is_left_on_nodes_is_not_looked_for_here(tmp_path):
    """Of the same name something else may be on this machine."""
    leave(tmp_path, "a", 30)
    queue, _, _ = make()
    item = queue.add("http://h/a", str(tmp_path / "a"), {"to": "every-node"})
    assert not item.is_here
    queue.take(("event", item.key, now(copy("n", "receiving", 256), copy("m", "receiving", 256))))
    assert (item.fetched, item.share) == (SIZE // 2, 0.25)
    queue.take(ended(item, CancelledError("x")))
    assert (item.state, item.fetched, item.left.kept) == (DownloadState.STOPPED, SIZE // 2, 0)
    assert item.can_resume
    queue.toggle(item)
    queue.take(ended(item, TargetError("every node: it exists")))
    assert item.is_in_the_way


def test_where_some_nodes_do_not_have_it(tmp_path):
    queue, _, _ = make()
    item = queue.add("http://h/a", "/data/a", {"to": "every-node"})
    queue.take(("event", item.key, now(copy("n", "publishing", 1024), copy("m"))))
    error = IncompleteError("1 of 2")
    error.report = report_of(("n", "done", 1024, 0, 3.0), ("m", "failed", 0, 0, 0.0))
    queue.take(ended(item, error))
    assert item.status.copies.whole == 1
    assert item.share == 0.5
    assert item.can_resume


def test_a_bucket_is_not_here():
    queue, _, _ = make()
    assert not queue.add("http://h/a", "s3://bucket/key", {}).is_here
