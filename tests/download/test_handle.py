"""Downloads in the background: progress, pause, cancel, results; several at once."""

import asyncio
import signal
import subprocess
import sys
import threading
import time

import pytest

import raydl
from raydl.download.machines import machines
from raydl.model.errors import CancelledError, ChecksumError, HttpError
from raydl.model.events import (
    ClusterChosen,
    Continued,
    Finished,
    PartFailed,
    PartFetched,
    PartStarted,
    Paused,
    Probed,
    Progress,
)
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import anything, chunked, status

QUIET = {**ALONE, "part_size": 50_000}


@pytest.fixture(autouse=True)
def nothing_left(no_leaks):
    yield
    assert machines._local is None
    assert not machines._clusters


class Gate:
    """Lets parts through one by one, or all."""

    def __init__(self, origin):
        self.passes = threading.Semaphore(0)
        self.waiting = threading.Semaphore(0)
        origin.on(self.behave, None)

    def behave(self, handler, seen):
        self.waiting.release()
        self.passes.acquire()
        return False

    def let(self, count):
        for _ in range(count):
            self.passes.release()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_runs_and_tells(origin, in_tmp):
    called, seen = threading.Event(), []
    download = raydl.start(origin.url(), on_event=seen.append, **QUIET)
    download.add_done_callback(lambda d: called.set() if d is download else None)
    report = download.result(30)
    assert report.size == len(origin.data)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert download.done()
    assert called.wait(5)
    assert isinstance(download.progress, Progress)
    assert download.progress.fetched == len(origin.data)
    assert isinstance(seen[-1], Finished)
    assert list(download.events()) == seen
    assert repr(download) == f"<Download {origin.url()}: done>"


def test_an_iterator_that_is_dropped_gets_nothing_more(origin, in_tmp):
    gate = Gate(origin)
    download = raydl.start(origin.url(), **QUIET)
    dropped, going_on = download.events(), download.events()
    assert isinstance(next(dropped), ClusterChosen)
    next(going_on)
    assert len(download._listeners) == 2
    del dropped
    assert len(download._listeners) == 1
    gate.let(1000)
    assert isinstance(list(going_on)[-1], Finished)
    assert list(download.events())
    assert not download._listeners
    download.result(30)


def test_one_that_is_dropped_while_events_are_handed_out(origin, in_tmp):
    """The garbage collector may come to it anywhere."""
    gate = Gate(origin)
    download = raydl.start(origin.url(), **QUIET)
    iterators = [download.events(), download.events()]
    for iterator in iterators:
        next(iterator)
    del iterator
    with download._lock:
        iterators.clear()
    gate.let(1000)
    download.result(30)
    assert not download._listeners


def test_a_result_that_is_not_there_yet(origin, in_tmp):
    gate = Gate(origin)
    download = raydl.start(origin.url(), **QUIET)
    with pytest.raises(TimeoutError, match=r"not done after 0\.05s"):
        download.result(0.05)
    assert "running" in repr(download)
    gate.let(1000)
    download.result(30)


def test_an_interrupt_of_waiting_says_that_it_goes_on(origin, in_tmp, monkeypatch):
    gate = Gate(origin)
    download = raydl.start(origin.url(), **QUIET)

    def interrupted(timeout=None):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download.future, "result", interrupted)
        with pytest.raises(KeyboardInterrupt) as raised:
            download.result()
    (line,) = raised.value._render_traceback_()
    assert line.startswith("KeyboardInterrupt: it goes on, until it is cancelled: <Download http")
    gate.let(1000)
    download.result(30)


def test_its_events_have_its_id(origin, in_tmp):
    one, two = (raydl.start(origin.url(), name, **QUIET) for name in ("one", "two"))
    for download in (one, two):
        download.result(30)
        assert {event.download for event in download.events()} == {download.id}
    assert one.id != two.id


def test_it_fails(origin, in_tmp):
    origin.on(status(404), None)
    download = raydl.start(origin.url(), **QUIET)
    with pytest.raises(HttpError):
        download.result(30)
    assert "HttpError" in repr(download)


def test_cancel(origin, in_tmp):
    gate = Gate(origin)
    download = raydl.start(origin.url(), connections=2, **QUIET)
    gate.let(4)
    until(lambda: download.progress and download.progress.written >= 100_000)
    download.cancel()
    gate.let(1000)
    with pytest.raises(CancelledError):
        download.result(5)
    download.join()
    assert download.kept >= 100_000
    assert raydl.fetch(origin.url(), **QUIET).resumed == download.kept
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_pause_and_go_on(origin, in_tmp):
    gate = Gate(origin)
    download = raydl.start(origin.url(), connections=2, **QUIET)
    gate.waiting.acquire()
    gate.waiting.acquire()
    download.pause()
    until(lambda: any(isinstance(e, Paused) for e in list(download._past)))
    assert download.paused
    assert "paused" in repr(download)
    gate.let(1000)
    until(lambda: sum(isinstance(e, PartFetched) for e in list(download._past)) == 2)
    asked = len(origin.parts)
    shown = download.progress
    until(lambda: download.progress is not shown)  # it lives on
    until(lambda: download.progress.lanes == 0)
    assert len(origin.parts) == asked == 2
    download.resume()
    download.result(30)
    assert any(isinstance(e, Continued) for e in download.events())
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_pause_of_one_stream(make_origin, in_tmp):
    """What is in the socket's buffers and ours still comes, no more."""
    origin = make_origin(random_bytes(60_000_000), ranges=False)
    download = raydl.start(origin.url(), max_memory="1MiB", **ALONE)
    download.pause()
    until(lambda: any(isinstance(e, Paused) for e in list(download._past)))
    assert not download.done()
    download.resume()
    download.result(30)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize("ranges", [True, False])
def test_paused_by_who_listens(make_origin, in_tmp, ranges):
    """A callback may pause it and go on, though it is called from within the download."""
    origin, told = make_origin(random_bytes(3_000_000), ranges=ranges), []

    def listen(event):
        told.append(type(event))
        if isinstance(event, Probed | PartFetched):
            download.pause()
        elif isinstance(event, Paused):
            download.resume()

    gate = threading.Event()
    origin.on(lambda handler, seen: gate.wait(20) and False, None, anything)
    download = raydl.start(origin.url(), on_event=listen, **ALONE)
    gate.set()
    download.result(30)
    assert told.index(Probed) < told.index(Paused) < told.index(Continued)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_paused_before_it_began(origin, in_tmp):
    """Nothing is asked for until it is told to go on."""
    told, probed = threading.Event(), threading.Event()

    def wait(handler, seen):
        probed.set()
        told.wait(20)
        return False

    origin.on(wait, 1, anything)
    download = raydl.start(origin.url(), **QUIET)
    assert probed.wait(20)
    download.pause()
    told.set()
    until(lambda: len([e for e in list(download._past) if isinstance(e, Progress)]) > 2)
    assert download.paused
    assert not origin.parts
    download.resume()
    download.resume()
    download.result(30)
    kinds = [type(event) for event in download.events()]
    assert kinds.count(Paused) == kinds.count(Continued) == 1
    assert kinds.index(Paused) < kinds.index(Continued) < kinds.index(PartStarted)
    assert (in_tmp / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize("ranges", [True, False])
def test_cancelled_while_a_callback_blocks(make_origin, in_tmp, ranges):
    """The callback is asked for nothing more, not even to hear of the end."""
    origin = make_origin(random_bytes(3_000_000), ranges=ranges)
    blocked, go_on, asked = threading.Event(), threading.Event(), []

    def listen(event):
        if isinstance(event, PartFetched | PartFailed):
            asked.append(event)
            blocked.set()
            go_on.wait(60)

    origin.on(status(503), 1, lambda seen: seen.method == "GET" and seen.range is None)
    download = raydl.start(origin.url(), on_event=listen, **ALONE)
    assert blocked.wait(20)
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(15)
    assert len(asked) == 1
    go_on.set()


def test_interrupted_while_a_callback_blocks(origin, tmp_path):
    code = f"""
import threading
import raydl

def listen(event):
    if type(event).__name__ == "PartFetched":
        print("blocked", flush=True)
        threading.Event().wait(60)

raydl.fetch({origin.url()!r}, address="none", on_event=listen)
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "blocked\n"
        process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        finally:
            process.kill()
    assert process.returncode not in (0, -signal.SIGKILL)


def test_two_at_once_share_the_connections_evenly(make_origin, in_tmp):
    """Of one origin they ask for no more than one alone would, and each gets its turn."""
    origin = make_origin(random_bytes(2_000_000))
    lock, ten = threading.Lock(), threading.Event()
    here, most, began = set(), [0], []

    def behave(handler, seen):
        with lock:
            here.add(handler)
            began.append(seen.path)
            most.append(len(here))
            if len(here) == 10:
                ten.set()
        ten.wait(20)
        origin.release.wait(0.01)
        handler.serve(seen)
        with lock:
            here.discard(handler)
        return True

    origin.on(behave, None)
    options = {**QUIET, "connections": 10, "part_size": 20_000}
    downloads = [raydl.start(f"{origin.url()}?{n}", f"{n}", **options) for n in range(2)]
    for number, download in enumerate(downloads):
        download.result(30)
        assert (in_tmp / f"{number}").read_bytes() == origin.data
    assert max(most) == 10
    both = [path.endswith("1") for path in began if path.endswith(("0", "1"))]
    first_of_second = both.index(True)
    share = sum(both[first_of_second : first_of_second + 40]) / 40
    assert 0.4 <= share <= 0.7


def test_several_at_once(make_origin, in_tmp):
    origins = [make_origin(random_bytes(2_000_000, seed)) for seed in range(3)]
    downloads = [raydl.start(o.url(), f"{n}", **QUIET) for n, o in enumerate(origins)]
    for number, download in enumerate(downloads):
        download.result(60)
        assert (in_tmp / f"{number}").read_bytes() == origins[number].data


def test_a_program_that_ends_ends_it(make_origin, tmp_path):
    origin = make_origin(random_bytes(3_000_000))
    gate = Gate(origin)
    gate.let(5)
    code = f"""
import raydl
download = raydl.start({origin.url()!r}, address="none", part_size=50_000, connections=1)
for event in download.events():
    if type(event).__name__ == "PartWritten":
        break
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=30)
    assert done.returncode == 0
    assert time.monotonic() - began < 10
    assert (tmp_path / "file.bin.part").exists()


def test_a_program_that_ends_amid_a_stream(origin, tmp_path):
    code = f"""
import raydl
chunks = raydl.stream({origin.url()!r}, address="none", part_size=50_000)
next(chunks)
raise SystemExit(3)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=20)
    assert done.returncode == 3


def test_chunked_in_the_background(origin, in_tmp):
    origin.on(chunked, None, lambda seen: True)
    download = raydl.start(origin.url(), **ALONE)
    assert download.result(30).size == len(origin.data)


class TestAsync:
    def test_the_loop_goes_on(self, origin, in_tmp):
        async def main():
            ticks = 0

            async def tick():
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.create_task(tick())
            report = await raydl.fetch_async(origin.url(), **QUIET)
            ticking.cancel()
            return report, ticks

        report, ticks = asyncio.run(main())
        assert report.size == len(origin.data)
        assert ticks > 10

    def test_two_at_once(self, make_origin, in_tmp):
        origins = [make_origin(random_bytes(300_000, seed)) for seed in (1, 2)]

        async def main():
            fetches = (raydl.fetch_async(o.url(), str(i), **QUIET) for i, o in enumerate(origins))
            return await asyncio.gather(*fetches)

        asyncio.run(main())
        for number, origin in enumerate(origins):
            assert (in_tmp / str(number)).read_bytes() == origin.data

    def test_cancelling_the_task_ends_the_download(self, origin, in_tmp):
        gate = Gate(origin)

        async def main():
            task = asyncio.create_task(raydl.fetch_async(origin.url(), **QUIET))
            await asyncio.to_thread(gate.waiting.acquire)
            task.cancel()
            began = time.monotonic()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.monotonic() - began

        assert asyncio.run(main()) < 2
        assert not [t for t in threading.enumerate() if t.name == "raydl-download"]
        gate.let(1000)

    def test_errors(self, origin, in_tmp):
        origin.on(status(404), None)
        with pytest.raises(HttpError):
            asyncio.run(raydl.fetch_async(origin.url(), **QUIET))


def test_nothing_is_left_after_a_wrong_digest(origin, in_tmp):
    """What was discarded cannot be gone on from."""
    download = raydl.start(origin.url(), checksum="md5:" + "0" * 32, **QUIET)
    with pytest.raises(ChecksumError):
        download.result(30)
    assert download.kept == 0
    assert list(in_tmp.iterdir()) == []
