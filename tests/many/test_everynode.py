"""Many files to every node, where nodes hang, fill up, or lose what others count on."""

import pytest

from raydl.landing.desk import Desk
from raydl.many.account import Account
from raydl.many.everynode import LATE_SECONDS, STUCK_SECONDS, EveryNode
from raydl.many.host import Task
from raydl.model.control import Control
from raydl.model.errors import OutputError, RaydlError
from raydl.model.item import Item
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import Joined, Left, Listed
from raydl.workers.shelves import Shelves
from raydl.workers.smallfiles import Brought


class Bytes:
    """A payload: its reference is the bytes themselves."""

    def __init__(self, data):
        self.ref, self.released = data, False

    def release(self):
        self.released = True


class Team(ActorTeam):
    """A node, with the code that runs there and a disk of its own."""

    def __init__(self, node, disk):
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
        monkeypatch.setattr("raydl.many.everynode.CLOSE_SECONDS", 0.0)
        monkeypatch.setattr("raydl.many.everynode.REOPEN_SECONDS", 4.0)
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
        else:
            self.account.done(task, brought, node)

    def over(self):
        return self.landing.is_over(self.desk.clock())

    def has(self, node):
        folder = self.disks / node
        return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


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
    fleet.teams["b"].hangs_at = ("put", "look")
    fleet.bring(fleet.want("f"))
    wanted = []
    fleet.landing.sort([Task(Item("http://h/f"), "f", key=b"f")], wanted.extend)
    fleet.turn(LATE_SECONDS)
    if wanted:
        fleet.bring(wanted)
        fleet.turn(LATE_SECONDS)
    assert fleet.has("a") == ["f"]
    assert fleet.account.counts["done"] == 1
    assert not fleet.over()
    fleet.turn(STUCK_SECONDS)
    assert fleet.over()
    assert fleet.landing.missing == {"a": "", "b": "its disk does not answer"}


def test_a_full_disk_ends_that_node_alone(fleet):
    task = fleet.want("f")
    refusal = ("OutputError", "the disk is full", "free some space")
    fleet.teams["b"].wrong = {"put": (None, [refusal])}
    fleet.bring(task)
    assert fleet.account.counts == {"done": 1}
    assert fleet.landing.missing == {"a": "", "b": "the disk is full"}
    assert fleet.over()


def test_all_disks_are_full(fleet):
    task = fleet.want("f")
    for team in fleet.teams.values():
        team.wrong = {"put": (("OutputError", "the disk is full", ""), None)}
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
    fleet.turn()
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
    assert fleet.landing.arrivals == 3


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
    with pytest.raises(RaydlError, match="another raydl fetches"):
        other.turn(10)
    other.landing.close()


def test_nodes_with_one_directory(fleet):
    fleet.teams["c"] = team = Team("c", fleet.disks / "a")
    fleet.list("a", "b", "c")
    fleet.desk.hear(Joined(team))
    fleet.turn()
    fleet.turn(15)
    fleet.turn()
    assert "another node's, too" in fleet.landing.missing["c"]
