import io
import json

import pytest

from raydl import progress as module
from raydl.event import (
    Failed,
    Finished,
    LanesJoined,
    Notice,
    PartStarted,
    Planned,
    Progress,
    Verifying,
)
from raydl.models import Report
from raydl.progress import renderer

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


def test_plain_lines(monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 12.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    text = show(
        "plain",
        PartStarted(0, 0, 1, "n"),
        Planned(0, 9, 3, 3, ""),
        Planned(0, 9, 3, 3, "3 parts instead of 1"),
        LanesJoined("n", 4),
        moved(10 * MIB),
        moved(30 * MIB),
        moved(60 * MIB, None),
        Notice("careful"),
        DONE,
    )
    assert text.splitlines() == [
        "3 parts instead of 1",
        "n: 4 lanes",
        " 30 %, 30 MiB of 100 MiB, 14s left, 5 MiB/s, 4 lanes on 2 nodes",
        "60 MiB, 5 MiB/s, 4 lanes on 2 nodes",
        "careful",
        "f: 100 MiB in 2.5s, 50 MiB/s",
    ]


def test_a_bar_on_a_terminal():
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
    assert text.endswith("f: 100 MiB in 2.5s, 50 MiB/s\n")


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
