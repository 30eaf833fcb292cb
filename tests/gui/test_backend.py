"""The process that downloads for a window."""

import io
import os
import queue
import signal

import pytest

from raydl.gui.backend import Backend
from raydl.gui.backendserver import Server
from raydl.many.wanted import Wanted
from raydl.model.errors import CancelledError, FilesFailedError, HttpError, UsageError
from raydl.model.events import Finished, Paused, Probed
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow
from tests.download.test_handle import Gate
from tests.many.hub import there_below
from tests.scripted import anything, status

ALONE = {"address": "none", "part_size": 50_000}


class Window:
    def __init__(self):
        self.inbox = queue.SimpleQueue()
        self.backend = Backend(lambda batch: [self.inbox.put(message) for message in batch])

    def until(self, wanted):
        seen = []
        while True:
            message = self.inbox.get(timeout=30)
            seen.append(message)
            if wanted(message):
                return seen


def is_end(message):
    return message[0] == "ended"


def is_event(kind):
    return lambda message: message[0] == "event" and isinstance(message[2], kind)


@pytest.fixture
def window():
    window = Window()
    yield window
    process = window.backend._process
    window.backend.close()
    assert process is None or process.poll() is not None
    assert not [m for m in iter_queue(window.inbox) if m[0] == "died"]


def iter_queue(inbox):
    while not inbox.empty():
        yield inbox.get()


def test_a_download_and_what_happens(window, origin, tmp_path):
    window.backend.start(7, origin.url(), str(tmp_path / "out"), ALONE)
    seen = window.until(is_end)
    assert {message[1] for message in seen} == {7}
    kinds = [type(message[2]) for message in seen if message[0] == "event"]
    assert kinds[-1] is Finished
    assert Probed in kinds
    _, _, report, error = seen[-1]
    assert error is None
    assert report.size == len(origin.data)
    assert (tmp_path / "out").read_bytes() == origin.data


def test_errors_arrive_as_they_are(window, origin, tmp_path):
    origin.on(status(404), None, anything)
    window.backend.start(1, origin.url(), str(tmp_path / "out"), ALONE)
    error = window.until(is_end)[-1][3]
    assert isinstance(error, HttpError)
    assert error.hint == "check the URL"
    window.backend.start(2, origin.url(), None, {"no_such": 1})
    assert isinstance(window.until(is_end)[-1][3], UsageError)


def test_pause_resume_and_cancel(window, origin, tmp_path):
    gate = Gate(origin)
    window.backend.start(1, origin.url(), str(tmp_path / "out"), ALONE)
    gate.waiting.acquire(timeout=20)
    window.backend.pause(1)
    window.until(is_event(Paused))
    window.backend.resume(1)
    gate.let(3)
    window.backend.cancel(1)
    assert isinstance(window.until(is_end)[-1][3], CancelledError)
    gate.let(1000)
    window.backend.start(2, origin.url(), str(tmp_path / "out"), ALONE)
    assert window.until(is_end)[-1][2].size == len(origin.data)


def test_many_files_and_what_fails_of_them(window, make_origin, tmp_path):
    """Of those that come no events are sent, however many there are."""
    origin = make_origin(b"")
    origin.files = {f"/{n}": b"x" * n for n in range(5)}
    origin.on(status(404), None, lambda seen: seen.path == "/3")
    wanted = Wanted([origin.url(path) for path in origin.files])
    options = {"address": "none", "output_dir": str(tmp_path / "out")}
    path = window.backend.report_path(1)
    window.backend.start_many(1, wanted, "{number}-{name}", options, path)
    seen = window.until(is_end)
    events = [message[2] for message in seen if message[0] == "event"]
    assert [event.report.path for event in events if isinstance(event, FileEnded)] == ["4-3"]
    assert not any(isinstance(event, AllEnded) for event in events)
    now = [event for event in events if isinstance(event, FilesNow)][-1]
    assert (now.done, now.failed, now.total, now.share) == (4, 1, 5, 1.0)
    _, _, report, error = seen[-1]
    assert isinstance(error, FilesFailedError)
    assert [failure.path for failure in report] == ["4-3"]
    assert [failure.path for failure in report] == ["4-3"]
    assert len(path.read_text().splitlines()) == 6
    window.backend.start_many(2, Wanted(["nothing"]), None, options, path)
    assert isinstance(window.until(is_end)[-1][3], UsageError)


def test_a_repository_goes_into_the_cache(window, hub, files, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    path = window.backend.report_path(1)
    window.backend.start_many(1, Wanted(["hf://org/model"]), None, {"address": "none"}, path)
    _, _, report, error = window.until(is_end)[-1]
    assert error is None
    assert report.done == len({*files.values()})
    (snapshot,) = (tmp_path / "cache" / "models--org--model" / "snapshots").iterdir()
    assert there_below(snapshot) == files


def test_what_has_ended_is_let_go(origin, tmp_path):
    served = Server(io.BytesIO())
    ends = []
    while len(ends) < 3:
        served._do_start(7, origin.url(), str(tmp_path / f"{len(ends)}"), ALONE)
        while not is_end(message := served._outbox.get(timeout=30)):
            pass
        ends.append(message)
        assert not served._downloads
    assert all(report.size == len(origin.data) for _, _, report, _ in ends)


def test_it_is_started_again_when_it_died(window, origin, tmp_path):
    gate = Gate(origin)
    window.backend.start(1, origin.url(), str(tmp_path / "out"), ALONE)
    gate.waiting.acquire(timeout=20)
    os.kill(window.backend._process.pid, signal.SIGKILL)
    window.until(lambda message: message == ("died", 1))
    gate.let(1000)
    window.backend.start(2, origin.url(), str(tmp_path / "out"), ALONE)
    assert window.until(is_end)[-1][2].size == len(origin.data)


def test_closing_keeps_what_had_arrived(window, origin, tmp_path):
    gate = Gate(origin)
    gate.let(8)
    window.backend.start(1, origin.url(), str(tmp_path / "out"), {**ALONE, "connections": 2})
    for _ in range(9):
        gate.waiting.acquire(timeout=20)
    window.backend.close()
    assert (tmp_path / "out.part").stat().st_size > 0
    window.backend.start(2, origin.url(), str(tmp_path / "two"), ALONE)
    window.backend.watch("127.0.0.1:1")
    assert window.backend._process.poll() is not None
    gate.let(1000)


def test_nodes_are_watched_on_when_it_died(window, monkeypatch):
    def told(message):
        return message[0] == "nodes"

    window.backend.watch("127.0.0.1:1")
    window.until(told)
    window.backend.look_after()
    os.kill(window.backend._process.pid, signal.SIGKILL)
    window.until(lambda message: message == ("died", 1))
    window.backend.look_after()  # not at once
    assert not window.backend._is_alive
    monkeypatch.setattr("raydl.gui.backend.AGAIN_SECONDS", 0)
    window.backend.look_after()
    window.until(told)


@pytest.mark.cluster
def test_nodes_are_told(window, two_nodes):
    window.backend.watch(two_nodes.address)
    nodes = window.until(lambda message: message[0] == "nodes")[-1][1]
    assert len(nodes) == 2
    window.backend.watch("127.0.0.1:1")
    error = window.until(lambda m: m[0] == "nodes" and not isinstance(m[1], list))[-1][1]
    assert "nothing listens there" in error.message
