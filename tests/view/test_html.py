from html.parser import HTMLParser

from raydl.model.report import NodeShare, Report
from raydl.view import html
from raydl.view.theme import colour

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
    for part in ("out/f", "5 MiB in 2.0s", "2 nodes", "md5 abc", "3 MiB, 4 lanes", "the limit"):
        assert part in text
