import pytest

from raydl.model.events import (
    Continued,
    Failed,
    Finished,
    LanesJoined,
    LanesLeft,
    NodeNow,
    Notice,
    PartFetched,
    Paused,
    Planned,
    Probed,
    Progress,
    Verifying,
)
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.view import status as module
from raydl.view.status import Phase, Tally

REMOTE = Remote("http://h/f", "http://h/f", 1000, True, None, None, "f")


def progress(fetched, *nodes, retries=0):
    return Progress(fetched, fetched, 1000, sum(n.lanes for n in nodes), len(nodes), retries, nodes)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def take(tally, *events):
    for event in events:
        tally.take(event)


def test_from_the_first_question_to_the_file(clock):
    tally = Tally()
    assert tally.summary() == "asking …"
    take(tally, Probed(REMOTE), Planned(0, 1000, None, 100, ""), LanesJoined("a", 4))
    assert (tally.name, tally.size, tally.phase) == ("f", 1000, Phase.FETCHING)
    assert tally.nodes["a"].state == "fetches"
    take(tally, progress(0, NodeNow("a", 4, 0.0, False)))
    clock[0] += 1
    take(tally, PartFetched(0, 0, 200, "a", 1.0), progress(250, NodeNow("a", 4, 200.0, False)))
    assert tally.speed == 250
    assert tally.seconds_left == 3
    assert tally.nodes["a"].bytes == 200
    assert tally.nodes["a"].speed == 100
    assert tally.summary() == "250 B of 1000 B, 250 B/s, 3.0s left, 4 lanes on 1 node"
    take(tally, Verifying())
    assert tally.summary() == "250 B of 1000 B, verifying"
    take(tally, Finished(Report("http://h/f", "f", 1000, seconds=2.0)))
    assert tally.phase is Phase.DONE
    assert tally.summary() == "1000 B in 2.0s"
    assert (tally.nodes["a"].lanes, tally.nodes["a"].state) == (0, "done")


def test_nodes_in_their_states(clock):
    tally = Tally()
    take(tally, Planned(0, 1000, None, 100, ""))
    busy, idle = NodeNow("a", 2, 9.0, False), NodeNow("b", 0, 0.0, False)
    take(tally, progress(1, busy, idle, NodeNow("c", 1, 0.0, True)), LanesLeft("d", 4, "gone"))
    states = {name: node.state for name, node in tally.nodes.items()}
    assert states == {"a": "fetches", "b": "idle", "c": "silent", "d": "left"}
    assert [node.number for node in tally.nodes.values()] == [0, 1, 2, 3]
    assert list(tally.notes) == ["d is lost: gone; its parts go to others"]
    take(tally, Failed("E", "no", "", 4))
    assert {n: node.state for n, node in tally.nodes.items()}["a"] == "stopped"
    assert tally.nodes["d"].state == "left"


def test_a_pause_does_not_slow_the_speed(clock):
    tally = Tally()
    take(tally, Planned(0, 1000, None, 100, ""), progress(0))
    clock[0] += 1
    take(tally, progress(100), Paused())
    assert (tally.phase, tally.speed) == (Phase.PAUSED, 0)
    assert "paused" in tally.summary()
    clock[0] += 1000
    take(tally, Continued(), progress(100))
    clock[0] += 1
    take(tally, progress(300))
    assert tally.speed == 200


def test_only_the_last_seconds_count(clock):
    tally = Tally()
    take(tally, Planned(0, 1000, None, 100, ""))
    for second in range(10):
        take(tally, progress(second * 10 if second < 5 else 500 + second))
        clock[0] += 1
    assert tally.speed == pytest.approx(1)


def test_a_node_that_brings_bytes_in_bursts(clock):
    tally = Tally()
    take(tally, Planned(0, 1000, None, 100, ""))
    for tick in range(40):
        clock[0] += 0.1
        take(tally, progress(tick, NodeNow("a", 4, 50.0 if tick % 5 == 0 else 0.0, False)))
    assert tally.nodes["a"].speed == pytest.approx(10, rel=0.1)
    take(tally, LanesLeft("a", 4, "gone"))
    assert tally.nodes["a"].speed == 0


def test_notes_are_not_kept_without_end():
    tally = Tally()
    for number in range(1000):
        tally.take(Notice(f"{number}"))
    assert len(tally.notes) == 100
    assert tally.notes[-1] == "999"
