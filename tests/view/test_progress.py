import io
import json
import os
import re
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
    Verifying,
)
from raydl.model.report import Report
from raydl.view.progress import BESIDE_BAR, OF_COPIES, WITHOUT_BAR, renderer, width_of
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
        "n: 4 lanes",
        " 35 %, 35 MiB of 100 MiB, 13s left, 5 MiB/s, 4 lanes on 2 nodes",
        "65 MiB, 5 MiB/s, 4 lanes on 2 nodes",
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
    assert "3 lanes on 1 node" in Clock(monkeypatch, style).show(*events)
    text = Clock(monkeypatch, style).show(*events, (10, idle), (20, idle), (30, idle))
    assert "0 lanes" not in text
    assert ", 1 node" in text


WIDEST = Progress(999 * MIB, 0, 10230 * MIB, 16, 16, 0)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (120, "999 MiB of 10 GiB, 0 B/s, ? left, 16 lanes on 16 nodes"),
        (93, "999 MiB of 10 GiB, 0 B/s, ? left, 16 lanes on 16 nodes"),
        (80, "999 MiB of 10 GiB, 0 B/s, ? left"),
        (60, "999 MiB, 0 B/s, ? left"),
        (50, "0 B/s, ? left"),
        (40, "0 B/s"),
        (20, ""),
    ],
)
def test_the_bar_has_the_fields_that_there_is_room_for(monkeypatch, columns, fields):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = show("bar", WIDEST)
    drawn = re.search(r"\r 10 % \|([^|]*)\| ?([^\r]*)\r", text)
    assert drawn, text
    assert drawn[2].strip() == fields
    assert len(drawn[1]) >= (10 if columns > 30 else 5)


def test_no_field_is_longer_than_its_room():
    longest = {
        "amount": "999.9 MiB of 999.9 GiB", "fetched": "999.9 MiB", "speed": "999.9 MiB/s",
        "left": "59m59s left", "lanes": "16 lanes on 16 nodes", "count": "999/999 nodes",
    }  # fmt: skip
    for least, layout in BESIDE_BAR[:-1]:
        assert len("100 % || ") + 10 + len(layout.format(**longest)) <= least
    longest["amount"] = "999 of 999 nodes have it"
    for least, layout in OF_COPIES[:-1]:
        assert len("100 % || ") + 10 + len(layout.format(**longest)) <= least
    for least, layout in WITHOUT_BAR[:-1]:
        assert len(layout.format(**longest)) <= least


def test_the_width_is_that_of_the_terminal_that_is_drawn_on(monkeypatch):
    """Standard output may be a pipe, or another terminal."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x18\0\x3c\0\0\0\0\0")  # 24 lines of 60
    monkeypatch.setenv("COLUMNS", "200")
    with open(ours, "rb"), open(theirs, "w") as stream, renderer("bar", stream) as render:
        assert width_of(stream) == 56
        render(moved(5))


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = show(
        "auto",
        moved(0),
        moved(50 * MIB),
        moved(40 * MIB),
        Notice("careful"),
        Verifying(),
        DONE,
        stream=Terminal(),
    )
    assert " 50 % |" in text
    assert " 40 % |" not in text
    assert "50 MiB of 100 MiB" in text
    assert "4 lanes on 2 nodes" in text
    assert "careful\n" in text
    assert text.endswith("f: 100 MiB in 2.5s, 50 MiB/s over 2.0s\n")


def test_a_bar_without_a_size():
    assert "0 B, 0 B/s" in show("bar", moved(0, None), moved(3 * MIB, None))
    assert show("bar", Notice("before any bar")) == "before any bar\n"


def test_auto_is_plain_where_there_is_no_terminal():
    assert show("auto", Notice("x")) == "x\n"


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
        " 67 %, 1 of 3 nodes have it, 5.0s left, 204.4 MiB/s, 8 lanes on 2 nodes",
        "b has the file (310 MiB from the origin, 714 MiB from others)",
        "d does not get the file: no space",
        "a has the file (714 MiB from the origin, 310 MiB from others)",
        "/data/f on 3 nodes: 1 GiB each in 8.0s, nothing from the origin, 1 node had it before, "
        "the same sha256 on all",
    ]


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (96, "5 of 8 nodes have it, 0 B/s, ? left, 16 lanes on 8 nodes"),
        (80, "5 of 8 nodes have it, 0 B/s, ? left"),
        (60, "5 of 8 nodes have it, 0 B/s"),
        (50, "5 of 8 nodes have it"),
        (40, "5/8 nodes"),
        (20, ""),
    ],
)
def test_the_bar_is_over_all_copies(monkeypatch, columns, fields):
    monkeypatch.setenv("COLUMNS", str(columns))
    copies = [copy(f"n{i}", "done", 1024) for i in range(5)] + [copy(f"m{i}") for i in range(3)]
    text = show("bar", now(*copies[:6]), Progress(5, 5, SIZE, 16, 8, 0), now(*copies))
    drawn = re.findall(r"\r *(\d+) % \|[^|]*\| ?([^\r]*)", text)
    assert [share for share, _ in drawn] == ["83", "83", "62"]  # two nodes joined
    assert drawn[-1][1].strip() == fields


def test_the_bar_goes_on_until_the_last_copy(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = show(
        "bar", now(copy("a", "receiving", 512)), Progress(5, 5, SIZE, 4, 1, 0), Verifying(),
        now(copy("a", "receiving", 512, 256)), now(copy("a", "verifying", 512, 512)),
    )  # fmt: skip
    assert " 75 % |" in text
    assert text.count("verifying") == 1
    assert "0 of 1 node has it, 0 B/s, verifying" in text
