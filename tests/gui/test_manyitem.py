"""A run of many files in the queue of the coordinator's window, without a window."""

from pathlib import Path

from raydl.gui.downloadqueue import DownloadQueue
from raydl.gui.memory import Unfinished
from raydl.many.wanted import problem_of
from raydl.model.errors import CancelledError, OutputError
from raydl.model.events import Failed
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow
from raydl.model.manyreport import FAILED, FileReport, ManyReport
from raydl.model.state import DownloadState
from raydl.view.filesstatus import MOST_FAILURES

URLS = ["https://h/a", "https://h/b", "https://h/c"]


class Backend:
    def __init__(self):
        self.asked = []

    def report_path(self, key):
        return Path(f"/reports/{key}.csv")

    def __getattr__(self, name):
        def ask(*args):
            self.asked.append((name, *args))
            return 1

        return ask


def make():
    backend = Backend()
    return DownloadQueue(backend, lambda item: None), backend


def now(done, failed=0, total=3, share=None):
    return FilesNow(done, 0, failed, total, 1000 * done, 2, 0, share)


def failure(number, error="HttpError"):
    return FileReport(
        number, "https://h/x", f"x{number}", FAILED, error=error, problem="it is gone"
    )


def report(done, failed=0):
    return ManyReport("/data", done, 0, failed, 1000, 1.0)


def test_it_is_one_run_in_its_turn():
    queue, backend = make()
    queue.address = "h:1"
    first = queue.add("http://h/f", "", {})
    many = queue.add_many(URLS, "/data/", {"retries": 1}, 3, "{number}-{name}")
    assert (many.name, many.state) == ("3 files", DownloadState.QUEUED)
    queue.take(("ended", first.key, None, CancelledError("x")))
    assert many.state is DownloadState.RUNNING
    name, key, wanted, template, options, path = backend.asked[-1]
    assert (name, key, template) == ("start_many", many.key, "{number}-{name}")
    assert (wanted.urls, wanted.lists) == (URLS, [])
    assert options == {"address": "h:1", "retries": 1, "output_dir": "/data/"}
    assert path == many.report_path


def test_it_shows_how_far_it_is():
    queue, _ = make()
    many = queue.add_many(URLS, "/data/", {})
    assert many.share is None
    queue.take(("event", many.key, now(1, share=0.25)))
    assert many.share == 0.25
    assert many.status.summary().startswith("1 of 3 files, 1000 B")
    assert many.status.counts == [("done", 1), ("from before", 0), ("failed", 0), ("left", 2)]
    queue.toggle(many)
    queue.take(("event", many.key, now(1, share=0.25)))
    assert many.state is DownloadState.PAUSED
    assert many.status.summary().endswith("paused")
    queue.take(("ended", many.key, report(3), None))
    assert (many.state, many.share, many.folder) == (DownloadState.DONE, 1.0, Path("/data"))


def test_it_ends_when_the_backend_is_done_with_it():
    queue, _ = make()
    many = queue.add_many(URLS, "/data/", {})
    for event in (AllEnded(report(3)), Failed.of(OutputError("full"))):
        queue.take(("event", many.key, event))
        assert many.state is DownloadState.RUNNING


def test_what_failed_is_tried_again_and_may_be_replaced():
    queue, backend = make()
    many = queue.add_many(URLS, "/data/", {})
    queue.take(("event", many.key, FileEnded(failure(2))))
    assert not many.is_in_the_way
    queue.take(("event", many.key, FileEnded(failure(3, "TargetError"))))
    queue.take(("ended", many.key, report(1, 2), problem_of(report(1, 2))))
    assert many.state is DownloadState.FAILED
    assert (many.error.message, many.again) == ("2 of 3 files failed", "Try again")
    assert round(many.share, 2) == 0.33
    assert many.is_in_the_way
    assert many.status.summary().endswith("2 failed")
    queue.overwrite(many)
    assert (many.state, many.report, many.status.failures) == (DownloadState.RUNNING, None, [])
    assert backend.asked[-1][4]["overwrite"] is True


def test_few_failures_are_kept():
    queue, _ = make()
    many = queue.add_many(URLS, "/data/", {})
    for number in range(MOST_FAILURES + 5):
        queue.take(("event", many.key, FileEnded(failure(number))))
    assert len(many.status.failures) == MOST_FAILURES


def test_what_ended_all_of_it():
    queue, _ = make()
    many = queue.add_many(URLS, "/data/", {})
    queue.take(("ended", many.key, None, OutputError("the disk is full")))
    assert (many.state, many.again) == (DownloadState.FAILED, "Resume")
    assert many.wants_another_place
    queue.move(many, "/other/")
    assert many.state is DownloadState.RUNNING


def test_what_is_remembered_of_it_is_enough_to_go_on():
    queue, backend = make()
    options = {"to": "every-node", "nodes": (("pool", "gpu"),)}
    many = queue.add_many(URLS, "/data/", options, 3, "{host}/{path}")
    kept = many.unfinished
    assert kept == Unfinished(
        "\n".join(URLS), "/data/", "", "{host}/{path}", "every-node", "pool=gpu"
    )
    again = queue.offer_many(kept.url.splitlines(), kept.target, options, kept.name)
    assert (again.name, again.state) == ("3 files", DownloadState.STOPPED)
    queue.cancel(many)
    queue.take(("ended", many.key, None, CancelledError("x")))
    queue.toggle(again)
    assert backend.asked[-1][3] == "{host}/{path}"


def test_what_it_is_called():
    queue, _ = make()
    one = queue.add_many(["hf://org/model"], "", {})
    assert one.name == "org/model"
    assert one.folder is None
    queue.take(("event", one.key, now(1, total=1200)))
    assert one.name == "org/model, 1,200 files"
    assert queue.add_many(["/a/list.txt"], "/data/", {}, 1).name == "list.txt, 1 file"
    assert queue.add_many(["/a/list.txt", "hf://org/m"], "/data/", {}).name == "2 lists"
