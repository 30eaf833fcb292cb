"""The queue of the coordinator's window, without a window."""

from raydl.errors import CancelledError, NetworkError
from raydl.event import Planned, Probed, Progress
from raydl.gui.lineup import Lineup, Stage
from raydl.models import Remote, Report
from raydl.tally import Phase

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


def ended(item, error=None, kept=0):
    report = Report(item.url, "out/there.bin", 10) if error is None else None
    return ("ended", item.key, report, error, kept)


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


def test_pause_resume_cancel_and_on_again():
    lineup, backend, _ = make()
    item = lineup.add("http://h/a", "", {})
    lineup.toggle(item)
    assert item.stage is Stage.PAUSED
    lineup.toggle(item)
    assert item.stage is Stage.RUNNING
    lineup.cancel(item)
    assert item.stage is Stage.CANCELLING
    lineup.toggle(item)
    lineup.cancel(item)
    assert [name for name, *_ in backend.asked] == ["start", "pause", "resume", "cancel"]
    lineup.take(ended(item, CancelledError("cancelled"), kept=7))
    assert (item.stage, item.kept, item.tally.phase) == (Stage.STOPPED, 7, Phase.STOPPED)
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


def test_one_of_before_waits_to_be_resumed():
    lineup, backend, _ = make()
    old = lineup.add("http://h/a", "x", {}, Stage.STOPPED)
    assert not backend.asked
    lineup.toggle(old)
    assert old.stage is Stage.RUNNING


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
    lineup.take(ended(first, CancelledError("cancelled"), kept=7))
    assert (first.stage, second.stage) == (Stage.STOPPED, Stage.QUEUED)
    assert len(backend.asked) == 1


def test_a_name_for_anything():
    lineup, _, _ = make()
    assert lineup.add("http://[bad/f", "", {}).name
