"""What a person reads of many files."""

import io

import pytest

from raydl.model.errors import FilesFailedError
from raydl.model.events import Failed
from raydl.model.fileevents import AllEnded, FilesNow, SlowFile
from raydl.model.manyreport import ManyReport
from raydl.view import filesprogress
from raydl.view.filesprogress import FilesBar, FilesPlain
from raydl.view.filesstatus import FilesStatus
from raydl.view.terminal import cells_of
from tests.view.screens import Show, Terminal


def now(done, total, lanes):
    return FilesNow(done, 0, 0, total, 1000 * done, lanes, 0)


def plain(event):
    out = io.StringIO()
    FilesPlain(out)(event)
    return out.getvalue()


@pytest.fixture
def every_line(monkeypatch):
    monkeypatch.setattr(filesprogress, "PLAIN_SECONDS", 0.0)


@pytest.mark.usefixtures("every_line")
@pytest.mark.parametrize(
    ("done", "total", "lanes", "says"),
    [
        (3, 10, 2, "3 of 10 files, 2.9 KiB, 0 B/s, 2 connections\n"),
        (1, 1, 1, "1 file, 1000 B, 0 B/s, 1 connection\n"),
        (0, 1, 0, "0 of 1 file, 0 B, 0 B/s\n"),
        (2, None, 0, "2 files, 2 KiB, 0 B/s\n"),
    ],
)
def test_plain_lines(done, total, lanes, says):
    assert plain(now(done, total, lanes)) == says
    status = FilesStatus()
    status.take(now(done, total, lanes))
    assert status.summary() + "\n" == says


def test_the_bar_of_one_file():
    out = io.StringIO()
    bar = FilesBar(out)
    bar(now(1, 1, 1))
    bar.close()
    assert "1 file" in out.getvalue()
    assert "1 of 1" not in out.getvalue()


def report(done, failed):
    return ManyReport("d", done, 0, failed, 5, 1.0)


def test_summaries():
    assert report(1, 0).summary() == "d: 1 file in 1.0s, 5 B, 5 B/s"
    assert report(0, 1).summary() == "d: 0 of 1 file in 1.0s, 5 B, 5 B/s, 1 failed"
    assert report(2, 1).summary() == "d: 2 of 3 files in 1.0s, 5 B, 5 B/s, 1 failed"
    assert FilesFailedError.of(report(0, 1)).message == "1 file failed"
    assert FilesFailedError.of(report(1, 1)).message == "1 of 2 files failed"


SLOW = (SlowFile("a/{b}/model-00001-of-00002.safetensors", 83, 40, 100), SlowFile("c", 6))


def slow(*slowest):
    return FilesNow(10, 0, 1, 100, 5 << 20, 4, 0, 0.11, slowest)


def bar(monkeypatch, width, event):
    return Show(monkeypatch, Terminal(monkeypatch, width), many=True).render((0, event))


def test_a_wide_bar_names_the_slowest(monkeypatch):
    for path, name in (
        (SLOW[0].path, "model-00001….safetensors"),
        ("{0}", "{0}"),
        ("x/模型模型模型模型模型模型模型.bin", "模型模型模…模型模型.bin"),
    ):
        [wide] = bar(monkeypatch, 160, slow(SLOW[0]._replace(path=path)))
        assert f", slowest {name} (40 % in 1m23s)" in wide
    assert "slowest" not in bar(monkeypatch, 160, slow())[0]
    assert "slowest" not in bar(monkeypatch, 110, slow(*SLOW))[0]


@pytest.mark.parametrize("columns", [1, 20, 36, 54, 70, 80, 92, 130, 160])
def test_no_line_is_ever_wrapped(monkeypatch, columns):
    event = FilesNow(
        12_345_678, 0, 1_234_567, 99_999_999, 999 << 50, 999, 0, 0.119, (SlowFile("誤" * 99, 9999),)
    )
    lines = bar(monkeypatch, columns, event)
    assert len(lines) == 1
    assert cells_of(lines[0]) < max(2, columns)


def test_files_that_come_in_waves_have_a_steady_speed(monkeypatch):
    """Four at a time, each of which takes five seconds."""
    show = Show(monkeypatch, Terminal(monkeypatch, 80), many=True)
    speeds = set()
    for tenth in range(400):
        wave = tenth // 50
        event = FilesNow(4 * wave, 0, 0, 100, wave * 10 << 20, 4, 0, wave / 25)
        [line] = show.render((tenth / 10, event))
        if tenth > 100:
            speeds.add(line.split(", ")[1])
    assert speeds <= {"1.9 MiB/s", "2 MiB/s"}


def test_what_is_left_of_the_bar(monkeypatch):
    terminal = Terminal(monkeypatch, 80)
    show = Show(monkeypatch, terminal, many=True)
    show.render((0, slow()), (1, slow()))
    terminal.write("^C")
    assert show.render((2, Failed("CancelledError", "interrupted", "", 130))) == []
    assert show.close() == []
    show = Show(monkeypatch, Terminal(monkeypatch, 80), many=True)
    assert show.render((0, slow()), (1, AllEnded(report(1, 0)))) == [
        "d: 1 file in 1.0s, 5 B, 5 B/s"
    ]


def test_lines_name_the_slowest(monkeypatch):
    monkeypatch.setattr("raydl.view.filesprogress.PLAIN_SECONDS", 0.0)
    stream = io.StringIO()
    shown = FilesPlain(stream)
    shown(slow(*SLOW))
    shown(slow())
    first, second = stream.getvalue().splitlines()
    assert first.endswith(f"; slowest: {SLOW[0].path} (40 % in 1m23s), c (6.0s)")
    assert "slowest" not in second
    assert slow(*SLOW).to_dict()["slowest"][1] == {
        "path": "c", "seconds": 6, "fetched": None, "size": None,
    }  # fmt: skip
