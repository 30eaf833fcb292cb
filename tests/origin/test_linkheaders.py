"""Mirrors that an origin names (RFC 6249): what counts of a header."""

import pytest

from raydl.origin.linkheaders import LONGEST, MOST, named_mirrors


def named(link, url="http://h/d/f"):
    return named_mirrors([(url, {"Link": link})])


def test_the_best_first():
    link = (
        '<http://b/f>; rel=duplicate; pri=2; geo=de, <e/f>; rel="nofollow duplicate"; pri="3", '
        '<http://c/f>;rel=duplicate,<http://a/f,1>; pri=1; rel="duplicate"; type="x, y", '
        '<http://x/f.torrent>; rel=describedby; type="application/x-bittorrent"'
    )
    assert named(link) == ("http://a/f,1", "http://b/f", "http://h/d/e/f", "http://c/f")


WORTHLESS = """
<>; rel=duplicate
<http://a/f>
<http://a/f>; rel=alternate
http://a/f; rel=duplicate
<ftp://a/f>; rel=duplicate
<http://u:p@a/f>; rel=duplicate
<javascript:x>; rel=duplicate
<http://[>; rel=duplicate
<file:///etc/passwd>; rel=duplicate
<a"b>; rel=duplicate
"""


@pytest.mark.parametrize("link", ["", *WORTHLESS.strip().splitlines()])
def test_what_counts_for_nothing(link):
    assert named(link) == ()


def test_nothing_without_tls_where_there_was_some():
    link = {"Link": "<http://a/f>; rel=duplicate, <https://b/f>; rel=duplicate"}
    assert named_mirrors([("https://h/f", link), ("http://m/f", {})]) == ("https://b/f",)
    assert named_mirrors([("http://h/f", link), ("http://m/f", {})]) == (
        "http://a/f",
        "https://b/f",
    )


def test_it_is_bounded():
    many = ", ".join(f"<http://a/{n}>; rel=duplicate" for n in range(1000))
    assert len(named(many)) == MOST
    assert named(" " * LONGEST + "<http://a/f>; rel=duplicate") == ()
    assert named("<http://a/f>" + "; a=b" * 10_000 + "<" * 10_000) == ()
