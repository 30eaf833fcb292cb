"""Many files to every node, where nodes hang, fill up, or lose what others count on."""

from typing import ClassVar

import pytest

from raydl.landing.desk import Desk
from raydl.many.account import Account
from raydl.many.catchup import CUT_OFF
from raydl.many.directories import LATE_SECONDS, MOST_LOSSES, READ_SECONDS, STUCK_SECONDS
from raydl.many.everynode import EveryNode
from raydl.many.host import Task
from raydl.model.control import Control
from raydl.model.errors import IncompleteError, OutputError, RaydlError
from raydl.model.item import Item
from raydl.model.remote import Access, Source
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import Joined, Left, Listed
from raydl.workers.shelves import Shelves
from raydl.workers.smallfiles import Brought, SmallFiles
from raydl.workers.worker import Worker


class Bytes:
    """A payload: its reference is the bytes themselves."""

    def __init__(self, data):
        self.ref, self.released = data, False

    def release(self):
        self.released = True


class Team(ActorTeam):
    """A node, with the code that runs there and a disk of its own."""

    made: ClassVar[list] = []

    def __init__(self, node, disk):
        self.made.append(self)
        self.node, self.labels, self.disk = node, {}, disk
        self.shelves = Shelves(lambda ref, seconds: memoryview(ref))
        self.hangs_at = ()
        self.wrong = {}
        self.asked = []

    def shelf(self, method, *args, done):
        self.asked.append(method)
        if method == "open":
            args = (args[0], str(self.disk), *args[2:])
        if method in self.hangs_at:
            return
        done(self.wrong.get(method) or getattr(self.shelves, method)(*args))

    def read_shelf(self, key, places, done):
        self.asked.append("read")
        answer, data = self.shelves.read(key, places)
        done(answer, None if data is None else Bytes(bytes(data)))


class Fleet:
    """Some nodes, and the destination, whose turns a test makes."""

    def __init__(self, tmp_path, monkeypatch, **options):
        monkeypatch.setattr("raydl.many.directories.CLOSE_SECONDS", 0.0)
        monkeypatch.setattr("raydl.many.directories.REOPEN_SECONDS", 4.0)
        self.now, self.told, self.reports = 100.0, [], []
        self.disks = tmp_path
        self.desk = Desk(Control(), self._joined, self._left, lambda: self.now)
        self.account = Account(self.told.append, self.reports.append, None)
        options = Options.of({"output_dir": "/d", "to": "every-node", **options})
        self.landing = EveryNode(
            self.desk, tmp_path / "d", options, False, self.account, self.told.append, None
        )
        self.lost, self.teams = [], {}

    def _joined(self, team):
        self.landing.joined(team)

    def _left(self, node, reason):
        self.landing.left(node, reason)

    def list(self, *nodes):
        self.desk.hear(Listed({node: {} for node in nodes}))

    def join(self, *nodes):
        for node in nodes:
            self.teams[node] = Team(node, self.disks / node)
            self.desk.hear(Joined(self.teams[node]))
        self.turn()

    def leave(self, node):
        self.teams[node].shelves.close_all()
        self.desk.hear(Left(node, self.teams[node], "it died"))
        self.turn()

    def turn(self, seconds=0.0):
        for _ in range(1 + int(seconds)):  # by the second: more of it would be a Ctrl-Z
            self.now += min(seconds, 1.0)
            for _ in range(10):
                while not self.desk._inbox.empty():
                    self.desk._inbox.get()()
                self.landing.turn(self.desk.clock())

    def want(self, *names):
        """The files that are to be asked for, of those."""
        wanted = []
        tasks = [Task(Item(f"http://h/{name}"), name, key=name.encode()) for name in names]
        self.landing.sort(tasks, wanted.extend)
        self.turn()
        return wanted

    def bring(self, tasks, data=b"data"):
        came = [
            (task, Brought(len(data), 0, task.path, '"e"', None, "", "", 0.1)) for task in tasks
        ]
        payload = Bytes(data * len(tasks))
        self.landing.save(payload, came, "a", self._saved, self.lost.extend)
        self.turn()
        return payload

    def _saved(self, task, brought, node, error):
        if error is not None:
            self.account.failed(task, error)
            self.landing.forget(task)
        else:
            self.account.done(task, brought, node)
            self.landing.note(task, brought)

    def over(self):
        return self.landing.is_over(self.desk.clock())

    def has(self, node):
        folder = self.disks / node
        return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


@pytest.fixture(autouse=True)
def disks_are_left():
    """What a node has open of its disk is closed; its process would end."""
    yield
    for team in Team.made:
        team.shelves.close_all()
    Team.made.clear()


@pytest.fixture
def fleet(tmp_path, monkeypatch):
    fleet = Fleet(tmp_path, monkeypatch)
    fleet.list("a", "b")
    fleet.join("a", "b")
    yield fleet
    fleet.landing.close()


def test_all_get_it_and_no_bytes_are_kept(fleet):
    payload = fleet.bring(fleet.want("f", "g"))
    assert payload.released
    assert fleet.has("a") == fleet.has("b") == ["f", "g"]
    assert fleet.over()
    assert fleet.landing.missing == {"a": "", "b": ""}


def test_a_disk_that_hangs_holds_up_nobody_for_long(fleet):
    tasks = fleet.want("f")
    fleet.teams["b"].hangs_at = ("put", "look")
    fleet.bring(tasks)
    assert fleet.account.counts["done"] == 0
    fleet.turn(LATE_SECONDS)
    assert fleet.has("a") == ["f"]
    assert fleet.account.counts["done"] == 1
    assert not fleet.over()
    fleet.turn(STUCK_SECONDS)
    assert fleet.over()
    assert fleet.landing.missing == {"a": "", "b": "its disk does not answer"}


def test_a_full_disk_ends_that_node_alone(fleet):
    task = fleet.want("f")
    refusal = ("DiskError", "the disk is full", "free some space")
    fleet.teams["b"].wrong = {"put": (None, [refusal])}
    fleet.bring(task)
    assert fleet.account.counts == {"done": 1}
    assert fleet.landing.missing == {"a": "", "b": "the disk is full"}
    assert fleet.over()


def test_a_name_says_nothing_of_the_disk(fleet):
    task = fleet.want("f")
    refusal = ("OutputError", "cannot write /quota/f: no permission", "")
    fleet.teams["b"].wrong = {"put": (None, [refusal])}
    fleet.bring(task)
    assert fleet.account.counts == {"failed": 1}
    assert fleet.landing.missing == {"a": "", "b": ""}


def test_all_disks_are_full(fleet):
    task = fleet.want("f")
    for team in fleet.teams.values():
        team.wrong = {"put": (("DiskError", "the disk is full", ""), None)}
    with pytest.raises(OutputError, match=r"every node: [ab]: the disk is full"):
        fleet.bring(task)


def test_bytes_that_are_lost_are_fetched_again(fleet):
    tasks = fleet.want("f")
    for team in fleet.teams.values():
        team.wrong = {"put": (("LookupError", "it is lost", ""), None)}
    fleet.bring(tasks)
    assert fleet.lost == tasks
    for team in fleet.teams.values():
        team.wrong = {}
    fleet.bring(tasks)
    assert fleet.has("b") == ["f"]
    assert fleet.over()


def test_what_one_of_them_lost_it_gets_from_the_other(fleet):
    tasks = fleet.want("f")
    fleet.teams["b"].wrong = {"put": (("LookupError", "it is lost", ""), None)}
    fleet.bring(tasks)
    assert not fleet.over()
    fleet.teams["b"].wrong = {}
    fleet.turn(2)
    assert fleet.has("b") == ["f"]
    assert fleet.over()


def test_who_leaves_and_comes_back_catches_up(fleet):
    fleet.bring(fleet.want("f"))
    fleet.leave("b")
    fleet.bring(fleet.want("g"))
    assert not fleet.over()
    fleet.join("b")
    assert fleet.has("b") == ["f", "g"]
    assert fleet.over()
    assert fleet.landing.arrivals == ["a", "b", "b"]


def test_who_does_not_come_back_is_told(fleet):
    fleet.bring(fleet.want("f"))
    fleet.leave("b")
    assert not fleet.over()
    fleet.turn(30)
    assert fleet.over()
    assert fleet.landing.missing == {"a": "", "b": "it died"}


def test_a_late_one_takes_it_from_who_has_it(fleet):
    fleet.bring(fleet.want(*map(str, range(500))))
    fleet.list("a", "b", "c")
    fleet.join("c")
    fleet.turn()
    assert len(fleet.has("c")) == 500
    assert fleet.over()
    assert "read" in fleet.teams["a"].asked + fleet.teams["b"].asked


def test_what_nobody_has_any_more(fleet):
    fleet.bring(fleet.want("f", "g"))
    for node in "ab":
        (fleet.disks / node / "f").unlink()
    fleet.list("a", "b", "c")
    fleet.join("c")
    assert fleet.has("c") == ["g"]
    assert fleet.over()
    assert "no other node has f" in fleet.landing.missing["c"]


def test_versions_that_cannot_be_told_come_from_who_is_complete(fleet):
    tasks = fleet.want("f")
    fleet.leave("b")
    came = [(tasks[0], Brought(4, 0, "f", None, None, "", "", 0.1))]
    fleet.landing.save(Bytes(b"data"), came, "a", fleet._saved, fleet.lost.extend)
    fleet.turn()
    fleet.join("b")
    assert (fleet.disks / "b" / "f").read_bytes() == b"data"
    assert fleet.over()


def test_who_lacks_what_another_has_does_not_ask_the_origin(fleet):
    fleet.bring(fleet.want("f"))
    (fleet.disks / "b" / "f").unlink()
    assert fleet.want("f") == []
    fleet.turn()
    assert fleet.has("b") == ["f"]
    assert fleet.over()


def test_another_run_has_the_directory(fleet, tmp_path, monkeypatch):
    other = Fleet(tmp_path, monkeypatch)
    other.list("a")
    other.join("a")
    assert not other.over()
    other.turn(5)
    with pytest.raises(RaydlError, match="another raydl has"):
        other.turn(10)
    other.landing.close()


def test_nodes_with_one_directory(fleet):
    fleet.teams["c"] = team = Team("c", fleet.disks / "a")
    fleet.list("a", "b", "c")
    fleet.desk.hear(Joined(team))
    fleet.turn()
    fleet.turn(15)
    fleet.turn()
    assert "another node has it, too" in fleet.landing.missing["c"]


def run_again(fleet, tmp_path, monkeypatch, *nodes, if_changed=False, **options):
    fleet.landing.close()
    for team in fleet.teams.values():
        team.shelves.close_all()
    again = Fleet(tmp_path, monkeypatch, **options)
    again.landing._if_changed = if_changed
    again.list(*nodes)
    again.join(*nodes)
    return again


def newer(fleet, tasks, data):
    came = [(task, Brought(len(data), 0, task.path, '"2"', None, "", "", 0.1)) for task in tasks]
    fleet.landing.save(Bytes(data * len(tasks)), came, "a", fleet._saved, fleet.lost.extend)
    fleet.turn()


@pytest.fixture
def second(fleet, tmp_path, monkeypatch):
    """A run of --if-changed, where two nodes have the file of before."""
    fleet.bring(fleet.want("f"), b"old!")
    again = run_again(fleet, tmp_path, monkeypatch, "a", "b", if_changed=True)
    yield again
    again.landing.close()


def test_who_was_away_when_a_newer_one_came_gets_it(second):
    tasks = second.want("f")
    assert tasks[0].etag == '"e"'
    second.leave("b")
    newer(second, tasks, b"new!")
    second.join("b")
    assert (second.disks / "b" / "f").read_bytes() == b"new!"
    assert second.over()


def test_what_has_not_changed_comes_to_who_is_late(second):
    second.landing.same(second.want("f")[0])
    second.list("a", "b", "c")
    second.join("c")
    assert second.has("c") == ["f"]
    assert second.over()


def test_nodes_with_two_versions_all_get_the_one_there_is_now(fleet, tmp_path, monkeypatch):
    tasks = fleet.want("f")
    fleet.teams["b"].wrong = {"put": (("DiskError", "the disk is full", ""), None)}
    fleet.bring(tasks, b"old!")
    other = run_again(fleet, tmp_path, monkeypatch, "b")
    newer(other, other.want("f"), b"new!")
    both = run_again(other, tmp_path, monkeypatch, "a", "b")
    newer(both, both.want("f"), b"new!")
    assert (both.disks / "a" / "f").read_bytes() == b"new!"
    assert both.over()
    both.landing.close()


def test_two_versions_are_told_apart_where_the_origin_does_not(
    fleet, make_origin, tmp_path, monkeypatch
):
    origin = make_origin(b"old!", headers={})

    def fetch(fleet):
        (task,), worker, kept = fleet.want("f"), Worker(), bytearray()
        task.url = origin.url("/f")
        source = Source(task.url, None, None, None, Access(), 5.0)
        wishes = [fleet.landing.wish(task, None)]
        ((_, *brought),) = SmallFiles(worker.lent).fetch(source, 1, wishes, 0.0, kept)
        worker.close()
        came = [(task, Brought(*brought))]
        fleet.landing.save(Bytes(bytes(kept)), came, "a", fleet._saved, fleet.lost.extend)
        fleet.turn()

    fleet.teams["b"].wrong = {"put": (("DiskError", "the disk is full", ""), None)}
    fetch(fleet)
    origin.data = b"new!"
    other = run_again(fleet, tmp_path, monkeypatch, "b")
    fetch(other)
    both = run_again(other, tmp_path, monkeypatch, "a", "b")
    fetch(both)
    assert [(tmp_path / node / "f").read_bytes() for node in "ab"] == [b"new!"] * 2
    assert [report.digest for report in both.reports] == [""]
    again = run_again(both, tmp_path, monkeypatch, "a", "b")
    assert again.want("f") == []
    assert again.over()
    again.landing.close()


def test_a_source_that_hangs_is_passed_over(fleet):
    fleet.bring(fleet.want("f"))
    hung = []
    for team in fleet.teams.values():  # whichever is asked first

        def read(key, rows, done, right=team.read_shelf):
            if hung:
                right(key, rows, done)
            hung.append(key)

        team.read_shelf = read
    fleet.list("a", "b", "c")
    fleet.join("c")
    assert not fleet.over()
    fleet.turn(READ_SECONDS)
    assert fleet.has("c") == ["f"]
    assert fleet.over()


def test_a_worker_that_ends_again_and_again_is_not_waited_for(fleet):
    fleet.bring(fleet.want("f"))
    for _ in range(MOST_LOSSES):
        fleet.leave("b")
        fleet.turn(2)
        if fleet.landing.missing["b"] == "it died":
            fleet.join("b")
    assert fleet.over()
    assert "again and again" in fleet.landing.missing["b"]


def test_who_gets_no_bytes_of_others_is_given_up(fleet):
    fleet.bring(fleet.want("f"))
    fleet.list("a", "b", "c")
    fleet.teams["c"] = team = Team("c", fleet.disks / "c")
    team.wrong = {"put": (("LookupError", "the bytes did not come", ""), None)}
    fleet.desk.hear(Joined(team))
    fleet.turn(10)
    assert fleet.over()
    assert fleet.landing.missing["c"] == CUT_OFF


def test_nobody_has_it_where_one_is_full_and_one_away(fleet):
    tasks = fleet.want("f")
    refusal = ("DiskError", "the disk is full", "")
    fleet.teams["a"].wrong = {"put": (None, [refusal])}
    fleet.teams["b"].hangs_at = ("put",)
    fleet.bring(tasks)
    fleet.turn(LATE_SECONDS)
    assert fleet.lost == tasks
    assert fleet.account.counts["done"] == 0


def test_a_path_that_cannot_be_is_no_matter_of_the_disk(fleet):
    fleet.bring(fleet.want("a"))
    fleet.bring(fleet.want("a/b"))
    fleet.bring(fleet.want("c"))
    assert fleet.account.counts == {"done": 2, "failed": 1}
    assert fleet.landing.missing == {"a": "", "b": ""}


def test_a_disk_that_is_slow_and_answers_is_waited_for(fleet):
    team, waiting = fleet.teams["b"], []
    right = team.shelf
    tasks = fleet.want(*"0123456789")
    team.shelf = lambda method, *args, done: waiting.append((method, args, done))
    for task in tasks:
        fleet.bring([task])
    for _ in range(40):
        fleet.turn(10)
        if waiting:
            method, args, done = waiting.pop(0)
            right(method, *args, done=done)
    fleet.turn()
    assert fleet.landing.missing == {"a": "", "b": ""}
    assert fleet.has("b") == list("0123456789")


def test_with_nobody_left_it_ends(fleet):
    fleet.want("f")
    fleet.leave("a")
    fleet.leave("b")
    with pytest.raises(IncompleteError, match="no node is left that takes the files: a: it died"):
        fleet.turn(30)
