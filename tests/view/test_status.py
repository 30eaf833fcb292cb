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
from raydl.model.state import DownloadState
from raydl.view import status as module
from raydl.view.status import DownloadStatus, Step
from tests.view.copies import MIB, SIZE, copy, now, report_of

REMOTE = Remote("http://h/f", "http://h/f", 1000, True, None, None, "f")


def progress(fetched, *nodes, retries=0):
    return Progress(fetched, fetched, 1000, sum(n.lanes for n in nodes), len(nodes), retries, nodes)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def take(status, *events):
    for event in events:
        status.take(event)


def test_from_the_first_question_to_the_file(clock):
    status = DownloadStatus()
    assert status.summary() == "asking …"
    take(status, Probed(REMOTE), Planned(0, 1000, None, 100, ""), LanesJoined("a", 4))
    assert (status.name, status.size, status.step) == ("f", 1000, Step.FETCHING)
    assert status.nodes["a"].state == "fetches"
    take(status, progress(0, NodeNow("a", 4, 0.0, False)))
    clock[0] += 1
    take(status, PartFetched(0, 0, 200, "a", 1.0), progress(250, NodeNow("a", 4, 200.0, False)))
    assert status.speed == 250
    assert status.seconds_left == 3
    assert status.nodes["a"].bytes == 200
    assert status.nodes["a"].speed == 100
    assert status.summary() == "250 B of 1000 B, 250 B/s, 3.0s left, 4 connections"
    take(status, Verifying())
    assert status.summary() == "250 B of 1000 B, verifying"
    take(status, Finished(Report("http://h/f", "f", 1000, seconds=2.0)))
    assert status.state is DownloadState.DONE
    assert status.summary() == "1000 B in 2.0s"
    assert (status.nodes["a"].lanes, status.nodes["a"].state) == (0, "done")


def test_nodes_in_their_states(clock):
    status = DownloadStatus()
    take(status, Planned(0, 1000, None, 100, ""))
    busy, idle = NodeNow("a", 2, 9.0, False), NodeNow("b", 0, 0.0, False)
    take(status, progress(1, busy, idle, NodeNow("c", 1, 0.0, True)), LanesLeft("d", 4, "gone"))
    states = {name: node.state for name, node in status.nodes.items()}
    assert states == {"a": "fetches", "b": "idle", "c": "silent", "d": "left"}
    assert [node.number for node in status.nodes.values()] == [0, 1, 2, 3]
    assert list(status.notes) == ["d is lost: gone; its parts go to others"]
    take(status, Failed("E", "no", "", 4))
    assert status.state is DownloadState.FAILED
    assert {n: node.state for n, node in status.nodes.items()}["a"] == "stopped"
    assert status.nodes["d"].state == "left"


def test_a_pause_does_not_slow_the_speed(clock):
    status = DownloadStatus()
    take(status, Planned(0, 1000, None, 100, ""), progress(0))
    clock[0] += 1
    take(status, progress(100), Paused())
    assert (status.state, status.speed) == (DownloadState.PAUSED, 0)
    assert "paused" in status.summary()
    clock[0] += 1000
    take(status, Continued(), progress(100))
    clock[0] += 1
    take(status, progress(300))
    assert status.speed == 200


def test_only_the_last_seconds_count(clock):
    status = DownloadStatus()
    take(status, Planned(0, 1000, None, 100, ""))
    for second in range(10):
        take(status, progress(second * 10 if second < 5 else 500 + second))
        clock[0] += 1
    assert status.speed == pytest.approx(1)


def test_a_node_that_brings_bytes_in_bursts(clock):
    status = DownloadStatus()
    take(status, Planned(0, 1000, None, 100, ""))
    for tick in range(40):
        clock[0] += 0.1
        take(status, progress(tick, NodeNow("a", 4, 50.0 if tick % 5 == 0 else 0.0, False)))
    assert status.nodes["a"].speed == pytest.approx(10, rel=0.1)
    take(status, LanesLeft("a", 4, "gone"))
    assert status.nodes["a"].speed == 0


def test_notes_are_not_kept_without_end():
    status = DownloadStatus()
    for number in range(1000):
        status.take(Notice(f"{number}"))
    assert len(status.notes) == 100
    assert status.notes[-1] == "999"


def test_copies_on_nodes_from_the_first_to_the_last(clock):
    status = DownloadStatus()
    take(status, Planned(0, SIZE, None, 100, ""), now(copy("a", "awaited"), copy("b", "opening")))
    assert status.summary() == "0 of 2 nodes have it, asking"
    take(status, now(copy("a"), copy("b", kept=512)))
    assert (status.total, status.share, status.speed) == (2 * SIZE, 0.25, 0)
    clock[0] += 1
    take(
        status,
        progress(99, NodeNow("a", 4, 1.0, False)),
        now(copy("a", "receiving", 100, 28), copy("b", "receiving", 100, 28, kept=512)),
    )
    assert status.speed == 256 * MIB  # of both, whatever is asked of the origin
    assert status.seconds_left == (2048 - 768) / 256
    assert status.summary() == "0 of 2 nodes have it, 256 MiB/s, 5.0s left, 4 connections"
    take(status, now(copy("a", "verifying", 512, 512), copy("b", "publishing", 0, 512, kept=512)))
    assert status.summary() == "0 of 2 nodes have it, verifying"
    take(status, now(copy("a", "done", 512, 512), copy("b", "publishing", 0, 512, kept=512)))
    assert [each.node for each in status.whole] == ["a"]
    take(status, Finished(report_of(("a", "done", 512, 512, 3.0), ("b", "done", 0, 512, 4.0))))
    assert [each.node for each in status.whole] == ["a", "b"]
    assert status.share == 1
    assert status.summary().startswith("1 GiB each in")


def test_a_node_without_hope_does_not_count(clock):
    status = DownloadStatus()
    take(
        status,
        now(copy("a", "receiving", 512), copy("b", "lost", 0, 256), copy("c", "receiving", 512)),
    )
    assert status.share == pytest.approx(1280 / 3072)
    clock[0] += 1
    take(
        status,
        now(copy("a", "receiving", 612), copy("b", "failed", 0, 256), copy("c", "receiving", 612)),
    )
    assert (status.total, status.fetched) == (2 * SIZE, 1224 * MIB)
    assert status.speed == 200 * MIB
    take(status, now(*[copy(name, "failed") for name in "abc"]))
    assert (status.share, status.seconds_left) == (None, None)


def test_copies_go_on_when_the_origin_is_done_and_when_it_is_asked_again(clock):
    status = DownloadStatus()
    plan = Planned(0, SIZE, None, 100, "")
    at_work = progress(5, NodeNow("a", 4, 1.0, False))
    take(status, now(copy("a")), plan, at_work, now(copy("a", "receiving", 5)), Verifying())
    assert (status.step, status.progress) == (Step.FETCHING, None)
    assert status.nodes["a"].state == "idle"
    clock[0] += 1
    take(status, now(copy("a", "receiving", 5, 95)))
    assert status.summary().startswith("0 of 1 node has it, 100 MiB/s")
    clock[0] += 1
    take(status, plan, at_work, now(copy("a", "receiving", 5, 195)))
    assert status.speed == 100 * MIB
    assert status.nodes["a"].state == "fetches"


def test_what_became_of_each_copy_where_some_failed():
    status = DownloadStatus()
    take(
        status,
        now(copy("a", "publishing", 1024), copy("b")),
        Failed("IncompleteError", "b", "", 10),
    )
    status.end_copies(report_of(("a", "done", 1024, 0, 3.0), ("b", "failed", 0, 0, 0.0)))
    assert {each.node: each.state for each in status.copies.copies} == {"a": "done", "b": "failed"}
    assert status.state is DownloadState.FAILED
