import pytest

from raydl.model.report import NodeShare, NodeShares, Report


def test_speed():
    assert Report("u", "p", 10, fetched=10, transfer_seconds=2.0).speed == 5
    assert Report("u", "p", 0).to_dict()["speed"] == 0


def test_as_text_it_is_a_line():
    report = Report("u", "p", 10, fetched=10, transfer_seconds=2.0)
    assert str(report) == report.summary()
    assert repr(report).startswith("Report(url='u'")


def test_speed_and_time_of_a_line_fit_together():
    """The speed is that of the transfer, so its time stands beside it."""
    report = Report("u", "p", 10, fetched=10, seconds=3.0, transfer_seconds=2.0)
    assert report.summary() == "p: 10 B in 3.0s, 5 B/s over 2.0s"


def shares(*states, digest="sha256:ab"):
    return NodeShares(
        NodeShare(f"n{i}", 5, 4, state, digest=digest if state != "failed" else "")
        for i, state in enumerate(states)
    )


@pytest.mark.parametrize(
    ("states", "values", "said"),
    [
        (["done"] * 8, {"fetched": 1 << 30, "transfer_seconds": 12.8},
         "/d/f on 8 nodes: 1 GiB each in 13s, 1 GiB from the origin, 80 MiB/s, "
         "the same sha256 on all"),
        (["done"] * 2, {"fetched": 1 << 29, "transfer_seconds": 5.12, "resumed": 1 << 29},
         "/d/f on 2 nodes: 1 GiB each in 13s, 512 MiB from the origin, 100 MiB/s over 5.1s, "
         "512 MiB kept from before, the same sha256 on all"),
        (["had"] * 7 + ["done"], {"resumed": 1 << 30},
         "/d/f on 8 nodes: 1 GiB each in 13s, nothing from the origin, 7 nodes had it before, "
         "the same sha256 on all"),
        (["had", "had"], {"skipped": True},
         "/d/f on 2 nodes: 1 GiB each, from before, the same sha256 on all"),
        (["done", "failed", "done"],
         {"fetched": 1 << 30, "transfer_seconds": 12.8, "digests": {"md5": "x"}, "retries": 1},
         "/d/f on 2 of 3 nodes: 1 GiB each in 13s, 1 GiB from the origin, 80 MiB/s, 1 retry, "
         "md5 verified"),
        (["done"], {}, "/d/f on 1 node: 1 GiB each in 13s, nothing from the origin"),
    ],
)  # fmt: skip
def test_copies_on_nodes(states, values, said):
    report = Report("u", "/d/f", 1 << 30, seconds=12.8, nodes=shares(*states), **values)
    assert report.summary() == said


def test_nodes_with_different_digests_have_not_the_same():
    nodes = NodeShares([*shares("done"), *shares("done", digest="sha256:cd")])
    assert "the same" not in Report("u", "/d/f", 5, nodes=nodes).summary()
