from html.parser import HTMLParser

from raydl.model.report import NodeShare, Report
from raydl.view import html
from raydl.view.theme import TROUBLE, colour
from tests.view.copies import copy, now, report_of

VOID = {"br", "rect"}


class Balance(HTMLParser):
    """Every tag that opens closes."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def text_of(markup):
    parser = Balance()
    parser.feed(markup)
    assert not parser.open
    return parser.text


def test_pieces_are_balanced_and_escaped():
    node = html.NodeLine("<n>", colour(9), 2.0, "a & b")
    cells = [("red", 1.0, "x"), ("red", 1.0, "x"), ("blue", 0.5, '"y"')]
    markup = html.block(
        "<t>", html.line("a < b"), html.bar(0.5), html.strip(cells), html.nodes([node])
    )
    assert text_of(markup) == '<t>a < bx"y"<n>a & b'
    assert markup.count("<rect") == 2
    assert "width:100.0%" in markup


def test_nothing_to_show():
    assert html.nodes([]) == ""
    assert text_of(html.strip([])) == ""


def test_a_report():
    report = Report(
        "https://h/f", "out/f", 5 << 20, fetched=5 << 20, seconds=2.0, transfer_seconds=1.0,
        digests={"md5": "abc"}, nodes=(NodeShare("a", 3 << 20, 4), NodeShare("b", 2 << 20, 8)),
        limit="the limit",
    )  # fmt: skip
    text = text_of(report._repr_html_())
    for part in (
        "out/f",
        "5 MiB in 2.0s",
        "2 nodes",
        "md5 abc",
        "3 MiB, 4 connections",
        "the limit",
    ):
        assert part in text


def test_a_row_for_each_node_that_gets_the_file():
    markup = html.copies(now(copy("a", "receiving", 256, 256), copy("b", "failed", problem="full")))
    assert text_of(markup) == (
        "areceiving, 256 MiB from the origin, 256 MiB from othersbfailed: full"
    )
    assert "width:50.0%" in markup
    assert TROUBLE in markup


def test_of_hundreds_of_nodes_there_are_not_hundreds_of_rows():
    copies = [copy(f"n{i}", "done") for i in range(200)]
    markup = html.copies(now(*copies))
    assert markup.count("<tr") == html.MOST_COPIES
    assert text_of(markup).endswith("and 176 nodes more, of which 176 have it")


def test_a_report_of_copies():
    report = report_of(("a", "done", 300, 724, 9.0), ("b", "had", 0, 0, 1.0), seconds=9.0)
    text = text_of(report._repr_html_())
    for part in ("/data/f", "1 GiB each in 9.0s", "bfrom before", "adone, 300 MiB from the origin"):
        assert part in text
