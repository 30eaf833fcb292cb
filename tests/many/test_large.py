"""Large files among many: how many at once, and who gets them when he comes late."""

import hashlib
import queue
from contextlib import nullcontext
from pathlib import Path

import pytest

from raydl.many import onelarge
from raydl.many.account import UnderWay
from raydl.many.host import Task
from raydl.many.large import AT_ONCE, Job, LargeFiles
from raydl.model.digests import GIT, Checksum
from raydl.model.errors import CancelledError, HttpError, TargetError
from raydl.model.events import Progress, Resumed, Verifying
from raydl.model.fileevents import SlowFile
from raydl.model.item import Item
from raydl.model.report import Report
from raydl.settings.options import Options
from raydl.workers.smallfiles import Brought

BROUGHT = Brought(5, 1, "f", None, None, "", "", 0.1)


class Large:
    """Large files whose downloads a test ends."""

    def __init__(self):
        self.posted, self.begun = queue.Queue(), queue.Queue()
        self.arrivals, self.ended, self.now = ["a", "b"], [], 0.0
        self.again = []
        self.files = LargeFiles(
            lambda name: Options(), self.fetch, lambda: self.arrivals, self.posted.put,
            lambda job, brought, error: self.ended.append((job.task.path, error)), print,
            lambda *left: None, self.again.extend,
            lambda: self.now,
        )  # fmt: skip

    def fetch(self, job, options):
        answer = queue.Queue()
        self.begun.put((job, answer))
        error = answer.get(timeout=20)
        if error is not None:
            raise error
        return BROUGHT

    def add(self, *names):
        for name in names:
            self.files.add(Task(Item(f"http://h/{name}"), name), Path("/d") / name)

    def begin(self, count):
        return [self.begun.get(timeout=20) for _ in range(count)]

    def turn(self, count=1):
        for _ in range(count):
            self.posted.get(timeout=20)()


@pytest.fixture
def large():
    return Large()


def test_one_path_is_written_by_one_at_a_time(large):
    large.add("f", "f", "g")
    first, other = large.begin(2)
    assert (first[0].task.path, other[0].task.path) == ("f", "g")
    assert len(large.files) == 1
    first[1].put(None)
    large.turn()
    assert [task.path for task in large.again] == ["f"]
    large.add("f")  # it is free now
    ((again, answer),) = large.begin(1)
    assert again.task.path == "f"
    for end in (answer, other[1]):
        end.put(None)
    large.turn(2)
    assert large.files.is_idle


def test_the_next_one_is_fetched_while_others_are_verified(large):
    large.add(*map(str, range(AT_ONCE + 2)))
    jobs = large.begin(AT_ONCE)
    assert large.begun.empty()
    jobs[0][0].heard(Verifying())
    large.turn()
    jobs += large.begin(1)
    assert large.begun.empty()
    jobs[0][1].put(None)  # that one was counted no more
    large.turn()
    assert large.begun.empty()
    jobs[1][1].put(None)
    large.turn()
    jobs += large.begin(1)
    for _, answer in jobs[2:]:
        answer.put(None)
    large.turn(len(jobs) - 2)
    assert large.files.is_idle
    assert len(large.ended) == AT_ONCE + 2


def test_lanes_of_those_under_way_count(large):
    large.add("f", "g")
    jobs = large.begin(2)
    for (job, _), lanes in zip(jobs, (3, 4), strict=True):
        job.heard(Resumed(10, "kept"))
        job.heard(Progress(30, 30, 40, lanes, 1, 0))
    assert large.files.under_way == UnderWay(40, 60, 1.5, 7)
    jobs[0][0].heard(Verifying())
    assert large.files.under_way.lanes == 4
    for _, answer in jobs:
        answer.put(None)
    large.turn(3)
    assert large.files.under_way == UnderWay()


def test_who_came_late_and_cannot_have_it_is_told(large):
    large.add("f")
    large.begin(1)[0][1].put(None)
    large.turn()
    large.files.catch_up()
    assert large.files.is_idle
    large.arrivals.append("c")
    large.files.catch_up()
    large.begin(1)[0][1].put(HttpError("the URL has expired", "", 403))
    large.turn()
    assert large.files.missing == {"c": "f: the URL has expired"}
    assert [path for path, _ in large.ended] == ["f"]


def test_closing_ends_those_under_way(large):
    large.add("f", "g")
    for job, answer in large.begin(2):
        job.control.watch(lambda answer=answer: answer.put(CancelledError("it was cancelled")))
    large.files.close()
    assert large.posted.qsize() == 2


@pytest.mark.parametrize(
    ("there", "error"),
    [(b"came", None), (b"mine", TargetError), (b"longer", TargetError), (None, TargetError)],
)
def test_what_a_killed_run_may_have_put_there(tmp_path, monkeypatch, there, error):
    bring(monkeypatch, b"came")
    path = tmp_path / "f"
    if there is None:
        path.symlink_to(tmp_path)
    else:
        path.write_bytes(there)
    with pytest.raises(error) if error else nullcontext():
        onelarge.to_here(one(path), Options())
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
    assert there is None or path.read_bytes() == there


def test_comparing_with_what_is_there_can_be_cancelled(tmp_path, monkeypatch):
    bring(monkeypatch, b"came")
    path = tmp_path / "f"
    path.write_bytes(b"came")
    job = one(path)
    job.control.cancel()
    with pytest.raises(CancelledError):
        onelarge.to_here(job, Options())
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_one_with_an_id_of_git_replaces_what_may_be_replaced(tmp_path, monkeypatch, mode):
    bring(monkeypatch, b"came")
    path = tmp_path / "f"
    path.write_bytes(b"mine")
    path.chmod(mode)
    git = Checksum(GIT, hashlib.sha1(b"blob 4\0came").hexdigest())
    job = Job(Task(Item("http://h/f", digest=git), "f"), path, print, lambda: None)
    with pytest.raises(TargetError):
        onelarge.to_here(job, Options())
    assert path.read_bytes() == b"mine"
    onelarge.to_here(job, Options(overwrite=True))
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"came", mode)


def bring(monkeypatch, data):
    def run(url, target, *rest, **more):
        Path(target).write_bytes(data)
        return Report(url, target, len(data))

    monkeypatch.setattr(onelarge, "run", run)


def one(path):
    task = Task(Item("http://h/f"), "f", may_be_there=True)
    return Job(task, path, print, lambda: None)


def test_how_long_each_has_been_under_way(large):
    large.add("a")
    ((job, answer),) = large.begin(1)
    large.now = 7.0
    large.add("b")
    large.begin(1)
    job.heard(Progress(30, 30, 100, 1, 1, 0))
    large.now = 10.0
    assert sorted(large.files.running()) == [
        SlowFile("a", 10.0, 30, 100), SlowFile("b", 3.0, 0, None),
    ]  # fmt: skip
    answer.put(None)
    large.turn()
    assert [file.path for file in large.files.running()] == ["b"]
    large.files.close()
