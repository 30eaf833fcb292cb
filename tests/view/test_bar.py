"""What a terminal shows while a file comes."""

import re

import pytest

from raydl.model.events import (
    Failed,
    Finished,
    LanesLeft,
    NodeNow,
    Notice,
    Probed,
    Progress,
    Verifying,
)
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.view.bar import BESIDE_BAR, OF_COPIES, WITHOUT_BAR
from raydl.view.terminal import cells_of
from tests.view.copies import MIB, SIZE, copy, now
from tests.view.screens import Show, Terminal

WIDEST = Progress(999 * MIB, 0, 10230 * MIB, 16, 16, 0)


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (120, "999 MiB of 10 GiB, 0 B/s, ? left, 16 connections on 16 nodes"),
        (100, "999 MiB of 10 GiB, 0 B/s, ? left, 16 connections on 16 nodes"),
        (80, "999 MiB of 10 GiB, 0 B/s, ? left"),
        (60, "999 MiB, 0 B/s, ? left"),
        (50, "0 B/s, ? left"),
        (40, "0 B/s"),
        (20, ""),
    ],
)
def test_the_bar_has_the_fields_that_there_is_room_for(monkeypatch, columns, fields):
    [line] = Show(monkeypatch, Terminal(monkeypatch, columns)).render((0, WIDEST))
    drawn = re.fullmatch(r"  9 % \|([^|]*)\| ?(.*)", line)
    assert drawn, line
    assert drawn[2] == fields
    assert len(drawn[1]) >= (10 if columns > 30 else 5)


def test_no_field_is_longer_than_its_room():
    longest = {
        "amount": "999.9 MiB of 999.9 GiB", "fetched": "999.9 MiB", "speed": "999.9 MiB/s",
        "left": "59m59s left", "who": "16 connections on 16 nodes", "count": "999/999 nodes",
    }  # fmt: skip
    for least, layout in BESIDE_BAR[:-1]:
        assert len("100 % || ") + 10 + len(layout.format(**longest)) <= least
    longest["amount"] = "999 of 999 nodes have it"
    for least, layout in OF_COPIES[:-1]:
        assert len("100 % || ") + 10 + len(layout.format(**longest)) <= least
    for least, layout in WITHOUT_BAR[:-1]:
        assert len(layout.format(**longest)) <= least


@pytest.mark.parametrize(
    ("columns", "fields"),
    [
        (102, "5 of 8 nodes have it, 0 B/s, ? left, 16 connections on 8 nodes"),
        (80, "5 of 8 nodes have it, 0 B/s, ? left"),
        (60, "5 of 8 nodes have it, 0 B/s"),
        (50, "5 of 8 nodes have it"),
        (40, "5/8 nodes"),
        (20, ""),
    ],
)
def test_the_bar_is_over_all_copies(monkeypatch, columns, fields):
    copies = [copy(f"n{i}", "done", 1024) for i in range(5)] + [copy(f"m{i}") for i in range(3)]
    show = Show(monkeypatch, Terminal(monkeypatch, columns, 5))
    lines = show.render((0, now(*copies[:6])), (0, Progress(5, 5, SIZE, 16, 8, 0)))
    assert lines[0].startswith(" 83 % |")
    lines = show.render((1, now(*copies)))  # two nodes joined
    drawn = re.fullmatch(r" 62 % \|[^|]*\| ?(.*)", lines[0])
    assert drawn[1] == fields


def test_the_bar_goes_on_until_the_last_copy(monkeypatch):
    show = Show(monkeypatch, Terminal(monkeypatch, 80))
    show.render((0, now(copy("a", "receiving", 512))), (0, Progress(5, 5, SIZE, 4, 1, 0)))
    lines = show.render((1, Verifying()), (1, now(copy("a", "receiving", 512, 256))))
    assert lines[0].startswith(" 75 % |")
    assert lines[0].endswith("| 0 of 1 node has it, 256 MiB/s, 1.0s left")
    lines = show.render((2, now(copy("a", "verifying", 512, 512))))
    assert lines[0].endswith("| 0 of 1 node has it, 0 B/s, verifying")


def moved(fetched, size=100 * MIB, *nodes):
    lanes = sum(node.lanes for node in nodes) or 4
    return Progress(fetched, fetched, size, lanes, len(nodes) or 2, 0, nodes)


DONE = Finished(Report("u", "f", 100 * MIB, 100 * MIB, transfer_seconds=2.0, seconds=2.5))


def test_a_bar_on_a_terminal(monkeypatch):
    show = Show(monkeypatch, Terminal(monkeypatch, 120))
    [bar] = show.render((0, moved(0)), (1, moved(50 * MIB)))
    assert bar.startswith(" 50 % |")
    assert bar.endswith("| 50 MiB of 100 MiB, 50 MiB/s, 1.0s left, 4 connections on 2 nodes")
    [bar] = show.render((1.1, moved(40 * MIB)))
    assert bar.startswith(" 50 % |")  # bytes of a broken connection are fetched again
    said, bar = show.render((1.2, Notice("careful")), (1.2, Verifying()))
    assert said == "careful"
    assert bar.endswith("| verifying")
    assert show.render((2.5, DONE)) == ["careful", "f: 100 MiB in 2.5s, 50 MiB/s over 2.0s"]
    assert show.close()[-1].startswith("f: ")


def test_a_bar_without_a_size(monkeypatch):
    show = Show(monkeypatch, Terminal(monkeypatch, 80))
    assert show.render((0, moved(0, None)), (1, moved(3 * MIB, None))) == [
        "3 MiB, 3 MiB/s, 4 connections on 2 nodes"
    ]


def test_what_is_left_when_it_ends_before_its_time(monkeypatch):
    """The error itself is told by who called."""
    terminal = Terminal(monkeypatch, 160)
    show = Show(monkeypatch, terminal)
    show.render((0, moved(5, 9, *nodes_of(3))))
    terminal.write("^C")
    assert show.render((1, Failed("CancelledError", "interrupted", "", 130))) == []
    assert show.close() == []
    assert terminal.screen.cursor.x == 0


def test_a_url_that_is_too_long_loses_its_middle(monkeypatch):
    remote = Remote(f"http://h/{'x' * 99}/model.bin", "http://h/", 9, True, None, None, "f")
    [line] = Show(monkeypatch, Terminal(monkeypatch, 60)).render((0, Probed(remote)))
    assert line.startswith("http://h/xxx")
    assert line.endswith("xx/model.bin: 9 B")
    assert len(line) == 59


def nodes_of(count, **changes):
    names = ["this machine", *(f"192.0.2.{number}" for number in range(2, 99))]
    return [
        NodeNow(name, 4, (10 - min(9, number)) * MIB, changes.get("silent") == number)
        for number, name in enumerate(names[:count])
    ]


def test_nodes_have_lines_on_a_wide_terminal(monkeypatch):
    terminal = Terminal(monkeypatch, 120)
    lines = Show(monkeypatch, terminal).render((0, moved(0, 9, *nodes_of(3, silent=2))))
    assert lines[1:] == [
        "       this machine  ████████████████████     10 MiB/s  4 connections",
        "       192.0.2.2     ██████████████████        9 MiB/s  4 connections",
        "       192.0.2.3     ████████████████           silent",
    ]
    assert terminal.colours == {"default", "cyan", "brown", "green", "red"}
    assert (
        len(Show(monkeypatch, Terminal(monkeypatch, 90)).render((0, moved(0, 9, *nodes_of(3)))))
        == 1
    )


def test_one_node_needs_no_line(monkeypatch):
    show = Show(monkeypatch, Terminal(monkeypatch, 120))
    assert len(show.render((0, moved(0, 9, *nodes_of(1))))) == 1


@pytest.mark.parametrize(("height", "shown"), [(24, 8), (15, 5), (6, 2), (4, 0)])
def test_more_nodes_than_there_is_room_for(monkeypatch, height, shown):
    show = Show(monkeypatch, Terminal(monkeypatch, 120, height))
    _, *lines = show.render((0, moved(0, 9, *nodes_of(20, silent=19))))
    assert len(lines) == shown
    if shown == 8:
        assert lines[-1] == "       and 13 more, 16 MiB/s in all, 1 silent"


def test_a_node_that_left_has_no_line(monkeypatch):
    show = Show(monkeypatch, Terminal(monkeypatch, 120))
    nodes = nodes_of(3)
    lines = show.render(
        (0, moved(0, 9, *nodes)),
        (1, LanesLeft(nodes[1].node, 4, "gone")),
        (2, moved(1, 9, nodes[0], nodes[2])),
    )
    assert lines[0] == "192.0.2.2 is lost: gone; its parts go to others"
    assert [line.split()[0] for line in lines[2:]] == ["this", "192.0.2.3"]


def test_what_each_node_has(monkeypatch):
    terminal = Terminal(monkeypatch, 120)
    copies = now(
        copy("a", "receiving", 512),
        copy("b", "failed", problem="no space left " * 9),
        copy("c", "had", kept=1024),
    )
    lines = Show(monkeypatch, terminal).render((0, copies))
    assert lines[1] == "       a  ██████████            receiving, 512 MiB from the origin"
    assert lines[2].startswith("       b                        failed: no space left no space")
    assert "…" in lines[2]
    assert lines[3] == "       c  ████████████████████  from before"
    many = now(*(copy(f"n{n}", "done" if n else "failed") for n in range(30)))
    lines = Show(monkeypatch, Terminal(monkeypatch, 120)).render((0, many))
    assert len(lines) == 9
    assert lines[1].startswith("       n0   ")
    assert lines[-1] == "       and 23 nodes more, of which 23 have it"


@pytest.mark.parametrize("columns", [1, 5, 8, 20, 36, 60, 80, 99, 100, 101, 120, 160])
def test_no_line_is_ever_wrapped(monkeypatch, columns):
    """A line that is would be a line more than is known of, and stay."""
    nodes = [NodeNow(f"{'節点' * 20}{n}", 16, 999.9 * MIB, n == 5) for n in range(12)]
    events = [
        (0, moved(999 * MIB, 1023 << 30, *nodes)),
        (1, moved(1099 * MIB, 1023 << 30, *nodes)),
        (2, moved(1099 * MIB, None, *nodes)),
        (3, now(*(copy(node.node, "failed", problem="誤り" * 50) for node in nodes), copy("a"))),
    ]
    terminal = Terminal(monkeypatch, columns, 40)
    show = Show(monkeypatch, terminal)
    for at, event in events:
        start = terminal.tell()
        show.render((at, event))
        drawn = re.sub(r"\x1b\[\d*[A-Za-z]", "", terminal.getvalue()[start:])
        for line in re.split(r"[\r\n]", drawn):
            assert cells_of(line) < max(2, columns), line
    assert show.close() == terminal.lines


def test_it_follows_the_size_of_the_terminal(monkeypatch):
    terminal = Terminal(monkeypatch, 160)
    show = Show(monkeypatch, terminal)
    assert len(show.render((0, moved(0, 9, *nodes_of(4))))) == 5
    terminal.resize(60, 24)
    lines = show.render((0.1, moved(0, 9, *nodes_of(4))))
    assert len(lines) == 1
    assert len(lines[0]) < 60
    terminal.resize(160, 40)
    assert len(show.render((0.2, moved(0, 9, *nodes_of(4))))) == 5
