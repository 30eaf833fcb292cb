import json

from raydl.cli.notices import failed_record
from raydl.model.errors import IncompleteError, NetworkError
from raydl.model.report import NodeShare, NodeShares, Report


def test_a_failure_that_some_nodes_are_spared_tells_of_each():
    error = IncompleteError("1 of 2 nodes do not have /f: b: full", "the same again")
    shares = (NodeShare("a", 5, 1, state="done"), NodeShare("b", 0, 0, state="failed"))
    error.report = Report("https://h/f", "/f", 5, nodes=NodeShares(shares))
    record = json.loads(failed_record(error))
    assert record["exit_code"] == 10
    assert [(share["node"], share["state"]) for share in record["report"]["nodes"]] == [
        ("a", "done"),
        ("b", "failed"),
    ]
    assert "report" not in json.loads(failed_record(NetworkError("no", "")))
