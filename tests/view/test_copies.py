"""What is said of the nodes' copies, in words and rows."""

import pytest

from raydl.model.report import Report
from raydl.view.copies import arrivals, copies_of, row, rows
from tests.view.copies import SIZE, copy, now, report_of


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (copy("n", "done", 310, 714),
         "n has the file (310 MiB from the origin, 714 MiB from others)"),
        (copy("n", "done", 0, 124, kept=900),
         "n has the file (124 MiB from others, 900 MiB from before)"),
        (copy("n", "done", kept=1024), "n has the file (1 GiB from before)"),
        (copy("n", "had", kept=1024), "n has the file from before"),
        (copy("n", "skipped"), "n has the file from before"),
    ],
)  # fmt: skip
def test_a_line_for_a_node_that_has_the_file(one, said):
    assert arrivals([one], SIZE) == [said]


def test_many_that_had_it_are_one_line():
    copies = [copy(f"n{i}", "had") for i in range(199)] + [copy("last", "done", 0, 1024)]
    assert arrivals(copies, SIZE) == [
        "199 nodes have the file from before", "last has the file (1 GiB from others)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("one", "share", "text", "is_bad"),
    [
        (copy("n", "awaited"), 0, "starts", False),
        (copy("n", "receiving", 256, 256), 0.5,
         "receiving, 256 MiB from the origin, 256 MiB from others", False),
        (copy("n", "skipped"), 1, "was there", False),
        (copy("n", "lost", problem="its process ended"), 0,
         "its worker is lost: its process ended", True),
        (copy("n", "failed", 0, 512, problem="no space"), 0.5,
         "failed: no space, 512 MiB from others", True),
    ],
)  # fmt: skip
def test_a_row(one, share, text, is_bad):
    assert row(one, SIZE) == ("n", share, text, is_bad)


def test_of_many_nodes_those_that_matter_are_shown():
    copies = [copy(f"n{i}", "done") for i in range(198)]
    copies += [copy("late", "receiving", 5), copy("bad", "failed", problem="no")]
    shown, more = rows(now(*copies), 3)
    assert [shown[0].node, shown[1].node, shown[2].node] == ["bad", "late", "n0"]
    assert more == "and 197 nodes more, of which 197 have it"
    shown, more = rows(now(*copies[-2:]), 3)
    assert ([each.node for each in shown], more) == (["late", "bad"], "")


def test_the_copies_of_a_report_are_in_the_order_of_their_ends():
    report = report_of(
        ("a", "done", 300, 724, 9.0), ("b", "had", 0, 0, 1.0), ("c", "failed", 0, 5, 0.0)
    )
    copies = copies_of(report).copies
    assert [(c.node, c.bytes // SIZE) for c in copies] == [("c", 0), ("b", 1), ("a", 1)]
    assert copies_of(Report("u", "p", 5)) is None


def test_a_node_that_fetched_for_others_has_no_more_of_the_origin_than_fits():
    (one,) = copies_of(report_of(("a", "done", 2000, 900, 9.0))).copies
    assert row(one, SIZE).text == "done, 124 MiB from the origin, 900 MiB from others"
