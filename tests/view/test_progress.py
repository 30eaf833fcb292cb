import io
import json
import time

import pytest

from raydl.model.events import (
    Failed,
    Finished,
    LanesJoined,
    Notice,
    PartStarted,
    Planned,
    Progress,
    Resumed,
)
from raydl.model.report import Report
from raydl.view.progress import renderer
from tests.view.copies import SIZE, copy, now, report_of

MIB = 1 << 20


class Terminal(io.StringIO):
    def isatty(self):
        return True


def show(style, *events, stream=None):
    stream = stream or io.StringIO()
    with renderer(style, stream) as render:
        for event in events:
            render(event)
    return stream.getvalue()


def moved(fetched, size=100 * MIB):
    return Progress(fetched, fetched, size, 4, 2, 0)


DONE = Finished(Report("u", "f", 100 * MIB, 100 * MIB, transfer_seconds=2.0, seconds=2.5))


class Clock:
    """Shows events, each with the time at which it comes."""

    def __init__(self, monkeypatch, style, stream=None):
        self.now, self.stream = 0.0, stream or io.StringIO()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.style = style

    def show(self, *events):
        with renderer(self.style, self.stream) as render:
            for self.now, event in events:
                render(event)
        return self.stream.getvalue()


def test_plain_lines(monkeypatch):
    text = Clock(monkeypatch, "plain").show(
        (0, PartStarted(0, 0, 1, "n")),
        (0, Planned(0, 9, 3, 3, "")),
        (0, Planned(0, 9, 3, 3, "3 parts instead of 1")),
        (0, LanesJoined("n", 4)),
        (1, moved(10 * MIB)),
        (6, moved(35 * MIB)),
        (12, moved(65 * MIB, None)),
        (12, Notice("careful")),
        (12, DONE),
    )
    assert text.splitlines() == [
        "3 parts instead of 1",
        "n joined: 1 node fetches",
        " 35 %, 35 MiB of 100 MiB, 13s left, 5 MiB/s, 4 connections on 2 nodes",
        "65 MiB, 5 MiB/s, 4 connections on 2 nodes",
        "careful",
        "f: 100 MiB in 2.5s, 50 MiB/s over 2.0s",
    ]


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_what_was_kept_is_no_speed(monkeypatch, style):
    monkeypatch.setenv("COLUMNS", "120")
    kept, size = 50 << 30, 100 << 30
    text = Clock(monkeypatch, style).show(
        (0, Resumed(kept, "going on")),
        (0, Planned(kept, size, 9, 9, "")),
        (0.1, moved(kept, size)),
        (5.1, moved(kept + 5 * MIB, size)),
    )
    assert ", 1 MiB/s" in text
    assert "GiB/s" not in text


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_under_a_rate_lanes_are_those_of_the_last_seconds(monkeypatch, style):
    monkeypatch.setenv("COLUMNS", "120")
    idle = Progress(5, 5, 100, 0, 1, 0)
    events = [(0, Planned(0, 100, 9, 9, "")), (4.9, Progress(1, 1, 100, 3, 1, 0)), (5, idle)]
    assert "3 connections" in Clock(monkeypatch, style).show(*events)
    text = Clock(monkeypatch, style).show(*events, (10, idle), (20, idle), (30, idle))
    assert "0 connections" not in text
    assert "connection" not in text.splitlines()[-1]


def test_auto_is_plain_where_nothing_can_be_drawn(monkeypatch):
    assert show("auto", Notice("x"), moved(5)) == "x\n"
    monkeypatch.setenv("TERM", "dumb")
    assert show("auto", Notice("x"), moved(5), stream=Terminal()) == "x\n"
    monkeypatch.setenv("TERM", "xterm")
    assert "|" in show("auto", moved(5), stream=Terminal())


def test_json_lines():
    lines = show("json", moved(5), DONE).splitlines()
    records = [json.loads(line) for line in lines]
    assert [r["event"] for r in records] == ["progress", "finished"]
    assert records[0]["fetched"] == 5
    assert records[1]["path"] == "f"
    assert all(isinstance(r["time"], float) for r in records)


def test_none():
    assert show("none", moved(5), DONE, Notice("x")) == ""


@pytest.mark.parametrize("style", ["plain", "json", "bar"])
def test_a_failure_is_told_by_who_called(style):
    text = show(style, Failed("NetworkError", "broken", "", 3))
    assert ("broken" in text) == (style == "json")


@pytest.mark.parametrize("style", ["plain", "bar"])
def test_a_name_controls_no_terminal(style):
    """As that of a URL, or of a file, may: here it would clear the screen."""
    text = show(style, Notice("a\x1b[2Jb is odd"), Finished(Report("u", "a\x1b[2Jb", 1, 1)))
    assert "\x1b[2J" not in text
    assert text.count("a\ufffd[2Jb") == 2


@pytest.mark.parametrize("style", ["plain", "json"])
def test_a_reader_that_has_gone_does_not_stop_a_download(style):
    stream = io.StringIO()
    with renderer(style, stream) as render:
        stream.close()
        render(Notice("x"))


def test_a_line_when_a_node_has_the_file(monkeypatch):
    report = report_of(
        ("b", "done", 310, 714, 7.0),
        ("a", "done", 714, 310, 8.0),
        ("c", "had", 0, 0, 1.0),
        seconds=8.0,
    )
    text = Clock(monkeypatch, "plain").show(
        (0, now(copy("a", "opening"), copy("b", "opening"), copy("c", "had", kept=1024))),
        (1, now(copy("a", "receiving", 1), copy("b", "receiving", 1), copy("c", "had", kept=1024))),
        (1, Progress(2 * MIB, 0, SIZE, 8, 2, 0)),
        (
            6,
            now(
                copy("a", "receiving", 256, 256),
                copy("b", "receiving", 256, 256),
                copy("c", "had", kept=1024),
            ),
        ),
        (
            7,
            now(
                copy("a", "receiving", 714, 256),
                copy("b", "done", 310, 714),
                copy("c", "had", kept=1024),
            ),
        ),
        (8, Notice("d does not get the file: no space")),
        (8, Finished(report)),
    )
    assert text.splitlines() == [
        "c has the file from before",
        " 67 %, 1 of 3 nodes have it, 6.0s left, 204.4 MiB/s, 8 connections on 2 nodes",
        "b has the file (310 MiB from the origin, 714 MiB from others)",
        "d does not get the file: no space",
        "a has the file (714 MiB from the origin, 310 MiB from others)",
        "/data/f on 3 nodes: 1 GiB each in 8.0s, nothing from the origin, 1 node had it before, "
        "the same sha256 on all",
    ]
