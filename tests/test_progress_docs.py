"""docs/progress.md is what a made-up terminal shows of events, in a time of their own.

RAYDL_WRITE_PROGRESS=1 pytest tests/test_progress_docs.py     writes it again
"""

import os
from pathlib import Path

import pytest

from raydl.model.control import Control
from raydl.model.errors import CancelledError
from raydl.model.events import (
    ClusterChosen,
    CopiesNow,
    CopyNow,
    Failed,
    Finished,
    LanesJoined,
    LanesLeft,
    NodeNow,
    Notice,
    PartFailed,
    Planned,
    Probed,
    Progress,
)
from raydl.model.fileevents import AllEnded, FilesNow, SlowFile
from raydl.model.manyreport import ManyReport
from raydl.model.remote import Remote
from raydl.model.report import NodeShare, NodeShares, Report
from tests.view.screens import Show, Terminal

PAGE = Path(__file__).parent.parent / "docs" / "progress.md"

WRITES = "RAYDL_WRITE_PROGRESS" in os.environ

MIB = 1 << 20
SIZE = 4096 * MIB
URL = "https://example.org/big.iso"
NODES = ("this machine", "192.168.1.11", "192.168.1.12", "192.168.1.13")
SPEEDS = (24 * MIB, 23 * MIB, 25 * MIB, 11 * MIB)

START = (
    (0.0, ClusterChosen("192.168.1.10:6379", "the Ray cluster at 192.168.1.10:6379 (ray start)")),
    (0.1, Probed(Remote(URL, URL, SIZE, True, None, None, "big.iso"))),
    (0.1, Planned(0, SIZE, None, 8 * MIB, "")),
    (0.1, LanesJoined(NODES[0], 4)),
    (0.8, Notice("connected to 192.168.1.10:6379: 4 nodes")),
    *((1.5, LanesJoined(name, 4)) for name in NODES[1:]),
)


def at(seconds, count=4):
    """How it stands after so long, where so many nodes are there still."""
    both = zip(NODES[:count], SPEEDS[:count], strict=True)
    nodes = tuple(NodeNow(name, 4, speed, False) for name, speed in both)
    come = int(min(seconds, 14) * sum(SPEEDS) + max(0, seconds - 14) * sum(SPEEDS[:count]))
    return seconds, Progress(come, come, SIZE, 4 * count, count, 0, nodes)


def moves(*seconds):
    return tuple(map(at, seconds))


REPORT = Report(
    URL, "big.iso", SIZE, SIZE, seconds=50.1, transfer_seconds=49.3,
    nodes=NodeShares(
        NodeShare(name, int(speed * 49.3), 4) for name, speed in zip(NODES, SPEEDS, strict=True)
    ),
    limit="the origin's cap per connection is the limit: more nodes would help",
)  # fmt: skip


def stopped():
    """Ctrl-C, with what had come by then."""
    control = Control()
    control.kept = 996 * MIB
    return Failed.of(CancelledError("interrupted", control.how_to_go_on()))


def kept(node, state, origin, peers, problem=""):
    return CopyNow(node, state, (origin + peers) * MIB, origin * MIB, peers * MIB, problem)


def copies(come):
    """What each node has, the slowest ``come`` MiB of the origin and as much again of others."""
    found = (
        kept(NODES[0], "receiving", come, come),
        kept(NODES[1], "done", 1301, 2795),
        kept(NODES[2], "receiving", come + 80, come + 400),
        kept(NODES[3], "failed", 0, 0, "no space left on /data"),
    )
    return CopiesNow(SIZE, found)


def files(seconds):
    """How many files stand after so long."""
    slowest = SlowFile("a/model-00001-of-00002.bin", seconds, 3, 4)
    done = int(16 * seconds)
    share = (done + 21) / 1000
    return seconds, FilesNow(done, 20, 1, 1000, int(49.4 * MIB * seconds), 32, 0, share, (slowest,))


CLOSED = "the origin closed the connection early"

RETRIES = tuple(
    (10 + n / 10, PartFailed(80 + n, 0, 9, NODES[n % 4], CLOSED, 1, 0.3)) for n in range(12)
)


@pytest.fixture
def shown(monkeypatch):
    """What a terminal shows after these events, at its width."""

    def shown(columns, *events, many=False, ends=False, then=()):
        show = Show(monkeypatch, Terminal(monkeypatch, columns), many=many)
        show.render(*events)
        return "\n".join([*(show.close() if ends else show.terminal.lines), *then])

    return shown


def page(shown):
    begun = (*START, *moves(1.6, 2.6, 6, 9, 12))
    pictures = {
        "eighty": shown(80, *begun),
        "wide": shown(160, *begun),
        "end": shown(80, *begun, (50.1, Finished(REPORT)), ends=True),
        "trouble": shown(
            120, *begun, *RETRIES, at(13),
            (14, LanesLeft(NODES[3], 4, "it does not answer")), at(17, 3), at(21, 3),
        ),
        "stopped": shown(
            80, *begun, (12.5, stopped()), ends=True,
            then=(f"raydl: {stopped()}",),
        ),
        "copies": shown(120, *START, *moves(1.6, 12), (12, copies(1100)), (14, copies(1200))),
        "files": shown(80, START[0], files(10), files(12), many=True),
        "wide_files": shown(160, START[0], files(10), files(12), many=True),
        "all_files": shown(
            80, START[0], files(12),
            (61, AllEnded(ManyReport("data", 979, 20, 1, 3012 * MIB, 61.0))), many=True, ends=True,
        ),
    }  # fmt: skip
    return PARTS.format(**{name: f"```text\n{text}\n```" for name, text in pictures.items()})


PARTS = """# Progress

While a download runs, a terminal shows a bar, and beside it how much has arrived, how fast, and how
long it will still take. The narrower the terminal, the fewer of these. Everything is written to
standard error. On 80 columns:

{eighty}

On a terminal of at least 100 columns each node has a line of its own; its bar shows how fast it
is, compared with the fastest. There are at most eight lines, and the last one sums up the other
nodes. On 160 columns:

{wide}

At the end the bar disappears, and two lines say what was downloaded and what limited the speed:

{end}

Problems are reported above the bar. Retries are summed up: the first one has a line, and ten
seconds later another line counts the others.

{trouble}

Ctrl-C stops a download. What has arrived is kept, and the same command continues:

{stopped}

If [every node gets the file](landing.md), the bar counts all copies, and each line shows what a
node has so far:

{copies}

[Many files](many.md) share one bar, here on 80 and on 160 columns, followed by what it leaves:

{files}

{wide_files}

{all_files}

## Other outputs

| where | what is shown |
|---|---|
| a pipe, a file, or `TERM=dumb` | lines: messages, and the progress every five seconds |
| a [notebook](notebook.md) | a widget, or lines if ipywidgets is not installed |
| `--progress bar`, `plain` or `none` | that, wherever it goes |
| `--progress json` | [events](events.md), one a line |
| `NO_COLOR=1` | the same without colours |

The pictures on this page are made by a test, from the events of a made-up download.
"""


def test_the_page_is_up_to_date(shown):
    text = page(shown)
    if WRITES:
        PAGE.write_text(text)
    assert PAGE.read_text() == text


def test_no_line_is_wider_than_its_terminal(shown):
    for columns in (80, 120, 160):
        lines = shown(columns, *START, *moves(1.6, 2.6, 6)).splitlines()
        assert max(map(len, lines)) == columns - 1
