"""What events add up to, in labels that are bounded."""

from raydl.model.events import (
    Failed,
    NodeNow,
    PartFailed,
    PartFetched,
    PartHedged,
    PartStarted,
    Progress,
)
from raydl.model.fileevents import FileEnded, FilesNow, HandNow
from raydl.model.manyreport import DONE, SKIPPED, FileReport
from raydl.model.metrics import (
    FETCHED,
    HEDGES,
    IN_FLIGHT,
    LANES,
    RETRIES,
    SECONDS,
    WAITING,
    WASTED,
)
from raydl.view.tally import LONGEST_LOOK, MOST_NODES, MOST_ORIGINS, OTHER, Tallies, Tally


def progress(fetched=0, *by_node, lanes=0, **more):
    nodes = tuple(NodeNow(name, count, 0.0, False) for name, count in by_node)
    return Progress(fetched, fetched, 100, lanes, len(nodes), 0, nodes, **more)


def taken(tally, *events):
    for event in events:
        tally.take(event)
    return tally.drain()


def test_bytes_and_seconds_of_parts():
    tally = Tally("here")
    changes = taken(
        tally,
        PartStarted(0, 0, 50, "a"),
        PartFetched(0, 0, 30, "a", 0.5, "h:1"),
        PartFetched(1, 30, 50, "a", 0.25, "h:2"),
        PartFetched(2, 50, 90, "b", 1.5, "h:1"),
        PartFetched(3, 90, 99, "a", 0.1, "h:1"),
    )
    assert changes.added == {
        (FETCHED, ("a", "h:1", "here")): 39,
        (FETCHED, ("a", "h:2", "here")): 20,
        (FETCHED, ("b", "h:1", "here")): 40,
    }
    assert changes.seen == [
        ((SECONDS, ("h:1",)), 0.5),
        ((SECONDS, ("h:2",)), 0.25),
        ((SECONDS, ("h:1",)), 1.5),
        ((SECONDS, ("h:1",)), 0.1),
    ]
    assert not tally.drain().added
    assert not tally.drain().seen


def test_what_goes_wrong():
    changes = taken(
        Tally("bucket"),
        PartFailed(0, 0, 5, "a", "broken", 1, 0.1),
        PartFailed(0, 0, 5, "a", "broken", 2, 0.1),
        PartHedged(0, 0, 5, "b", "late"),
        progress(wasted=7),
        progress(wasted=12),
    )
    assert changes.added == {
        (RETRIES, ("a", "bucket")): 2,
        (HEDGES, ("b", "bucket")): 1,
        (WASTED, ("bucket",)): 12,
    }


def test_a_stream_is_told_of_by_its_progress():
    tally = Tally("here", ("this machine", "h"))
    changes = taken(tally, progress(30, lanes=1), progress(80, lanes=1))
    assert changes.added[FETCHED, ("this machine", "h", "here")] == 80
    assert changes.now == {(LANES, ("this machine",)): 1, (IN_FLIGHT, ("here",)): 1}


def test_small_files():
    file = FileReport(1, "http://h/f", "f", DONE, 30)
    changes = taken(
        Tally("shared"),
        FileEnded(file, "a", "h"),
        FileEnded(file, "a", "h"),
        FileEnded(file),  # a download of its own, which tells itself
        FileEnded(FileReport(2, "http://h/g", "g", SKIPPED, 30)),
        FilesNow(1, 0, 0, 5, 60, 9, 2, by_node=(HandNow("a", 3), HandNow("b", 0))),
        FilesNow(1, 0, 0, 5, 60, 9, 3, by_node=(HandNow("a", 4), HandNow("b", 0))),
    )
    assert changes.added == {
        (FETCHED, ("a", "h", "shared")): 60,
        (RETRIES, ("", "shared")): 3,
    }
    assert changes.now == {(LANES, ("a",)): 4, (LANES, ("b",)): 0}


def test_waiting_is_the_time_between_looks():
    looks = {1.0: "output", 1.5: "output", 2.0: "", 2.25: "rate", 99.0: "rate"}
    times = iter(looks)
    tally = Tally("here", clock=lambda: next(times))
    for reason in looks.values():
        tally.take(progress(waiting=reason))
    assert tally.drain().added == {
        (WAITING, ("output",)): 0.5,
        (WAITING, ("rate",)): 0.25 + LONGEST_LOOK,
    }


def test_gauges_are_sums_and_go_back_to_zero():
    tallies = Tallies()
    one, other = tallies.open("here"), tallies.open("here")
    one.take(progress(0, ("a", 2), ("b", 3), lanes=5))
    other.take(progress(0, ("a", 4), lanes=4))
    assert tallies.drain().now == {
        (LANES, ("a",)): 6,
        (LANES, ("b",)): 3,
        (IN_FLIGHT, ("here",)): 9,
    }
    one.rest()
    tallies.close(one)
    assert tallies.drain().now == {
        (LANES, ("a",)): 4,
        (LANES, ("b",)): 0,
        (IN_FLIGHT, ("here",)): 4,
    }
    other.take(Failed("CancelledError", "interrupted", "", 130))
    other.rest()
    assert tallies.drain().now == {(LANES, ("a",)): 0, (IN_FLIGHT, ("here",)): 0}
    assert not tallies.drain().now


def test_what_nobody_asked_for_is_forgotten():
    tallies = Tallies()
    tally = tallies.open("here")
    tally.take(PartFetched(0, 0, 30, "a", 0.5, "h"))
    tallies.close(tally)
    assert not tallies.drain().added


def test_labels_are_bounded_and_nothing_is_lost():
    tallies = Tallies()
    tally = tallies.open("here")
    count = 10 * MOST_NODES
    for number in range(count):
        tally.take(PartFetched(0, 0, 1, f"node {number}", 0.5, f"host {number}"))
    added = tallies.drain().added
    assert sum(added.values()) == count
    nodes, origins = ({key[1][place] for key in added} for place in (0, 1))
    assert (len(nodes), len(origins)) == (MOST_NODES + 1, MOST_ORIGINS + 1)
    assert OTHER in nodes & origins
    assert "node 0" in nodes
