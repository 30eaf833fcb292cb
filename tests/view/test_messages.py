import time

import pytest

from raydl.model.events import (
    ClusterChosen,
    Failed,
    LanesJoined,
    LanesLeft,
    Notice,
    PartFailed,
    PartStarted,
    Planned,
    Progress,
)
from raydl.view.messages import Messages

QUIET = Progress(0, 0, 9, 0, 1, 0)


def failed(part, tries=1):
    return PartFailed(part, 0, 9, "n", "h refuses the connection", tries, 0.5)


@pytest.fixture
def told(monkeypatch):
    """The lines of events, each a pair of a time and what happens then."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    messages = Messages()

    def told(*events):
        lines = []
        for clock[0], event in events:
            lines += messages.take(event)
        return lines

    return told


def test_what_is_worth_a_line(told):
    assert told(
        (0, PartStarted(0, 0, 1, "n")),
        (0, Planned(0, 9, 3, 3, "")),
        (0, Planned(0, 9, 3, 3, "3 parts instead of 1")),
        (0, ClusterChosen("", "this machine alone")),
        (0, Notice("careful")),
        (0, QUIET),
        (0, Failed("NetworkError", "broken", "", 3)),
    ) == ["3 parts instead of 1", "this machine alone", "careful"]


def test_retries_are_summed_up(told):
    burst = [(100 + number / 10, failed(number)) for number in range(12)]
    first = "part 0 from n: h refuses the connection; again in 0.5s"
    assert told(*burst, (105, QUIET)) == [first]
    assert told((110, QUIET)) == ["… and 11 more retries"]
    assert told((120, QUIET)) == []
    assert told((121, failed(7)), (121, failed(8)), (122, Notice("careful"))) == [
        "part 7 from n: h refuses the connection; again in 0.5s",
        "… and 1 more retry",
        "careful",
    ]


def test_what_was_kept_back_is_told_before_the_end(told):
    end = Failed("NetworkError", "broken", "", 3)
    assert told((1, failed(0)), (1, failed(1)), (1, end))[1:] == ["… and 1 more retry"]


def test_a_node_that_is_lost_has_one_line(told):
    lines = told((1, LanesLeft("b", 4, "it ended")), (1, failed(0, tries=0)), (1, failed(1, 0)))
    assert lines == ["b is lost: it ended; its parts go to others"]


def test_nodes_that_join_have_one_line(told):
    join = [(0, LanesJoined("this machine", 1))]
    assert told(*join, (5, QUIET)) == []
    assert told((5, LanesJoined("b", 1)), (5.5, QUIET), (6, QUIET), (9, QUIET)) == [
        "b joined: 2 nodes fetch"
    ]
    several = [(10 + n / 10, LanesJoined(f"c{n}", 1)) for n in range(3)]
    assert told(*several, (11, QUIET)) == ["c0, c1 and c2 joined: 5 nodes fetch"]
    told((12, LanesLeft("b", 4, "it ended")))
    many = [(13, LanesJoined(f"d{n}", 1)) for n in range(40)]
    assert told(*many, (14, QUIET)) == ["d0, d1 and 38 more joined: 44 nodes fetch"]


def test_one_node_that_fetches_for_another_machine(told):
    assert told((0, LanesJoined("b", 1)), (1, QUIET)) == ["b joined: 1 node fetches"]
