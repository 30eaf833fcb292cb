"""Facts that were made up, and what is said of them."""

from dataclasses import replace

import pytest

from raydl.doctor.facts import MachineFacts, NodeFacts, Reach, Room
from raydl.doctor.judge import (
    exit_code,
    judge_alone,
    judge_extras,
    judge_machine,
    judge_node,
    judge_reach,
    judge_remote,
    judge_token,
)
from raydl.doctor.rows import HERE, Row, fine, wrong
from raydl.model.errors import ClusterError, HttpError, OutputError
from raydl.model.failure import Failure
from raydl.model.remote import Remote

GIB = 1 << 30
WELL = MachineFacts("3.11.7", "2.60.0", 65536, Room(50 * GIB, 100 * GIB), Room(8 * GIB, 8 * GIB))
NODE = NodeFacts("10.0.0.2", 4 * GIB, WELL)
REMOTE = Remote("http://h/f", "http://h/f", 4096, True, '"v1"', None, "f")


def only(rows: list[Row], state: str) -> Row:
    """The one row in that state; all others are fine."""
    assert [r.state for r in rows if r.state != "ok"] == [state]
    return next(r for r in rows if r.state == state)


def test_all_is_well():
    rows = [*judge_machine(WELL, "/data"), *judge_node(NODE, WELL)]
    assert {(row.state, row.mend, row.code) for row in rows} == {("ok", "", 0)}
    assert ("this machine", "disk", "50 GiB free in /data") in [row[1:4] for row in rows]
    assert rows[-1][1:4] == (
        "10.0.0.2", "node", "Ray 2.60.0, Python 3.11.7; store 4 GiB; disk 50 GiB free"
    )  # fmt: skip
    assert exit_code(rows) == 0


@pytest.mark.parametrize(
    ("change", "what", "found", "mend"),
    [
        ({"ray": ""}, "Ray", "not installed", "pip install ray"),
        ({"disk": Room(GIB // 2, 100 * GIB)}, "disk", "512 MiB free in its working", "make room"),
        ({"files": 256}, "open files", "no more than 256", "ulimit -n"),
    ],
)
def test_doubts_about_this_machine(change, what, found, mend):
    row = only(judge_machine(replace(WELL, **change), "/data"), "warning")
    assert (row.where, row.what) == (HERE, what)
    assert found in row.found
    assert mend in row.mend
    assert row.code == 0


def test_a_working_directory_that_is_gone():
    row = only(judge_machine(WELL, ""), "problem")
    assert (row.what, row.code) == ("disk", OutputError.exit_code)


def test_what_cannot_be_told_is_not_said():
    unknown = replace(WELL, disk=None, files=None, shared_memory=None)
    assert [row.what for row in judge_machine(unknown, "/data")] == ["Ray"]
    assert [row.what for row in judge_node(replace(NODE, machine=unknown), WELL)] == ["node"]


@pytest.mark.parametrize(
    ("change", "what", "found", "mend"),
    [
        ({"ahead": 3600.0, "give": 0.1}, "clock", "1h00m ahead of this machine's", "NTP"),
        ({"ahead": -45.0, "give": 0.1}, "clock", "45s behind this machine's", "NTP"),
        ({"store": 100 << 20}, "object store", "100 MiB", "--object-store-memory"),
        ({"store": 9 * GIB}, "object store", "/dev/shm has 8 GiB for 9 GiB", "--shm-size"),
    ],
)
def test_doubts_about_a_node(change, what, found, mend):
    row = only(judge_node(replace(NODE, **change), WELL), "warning")
    assert (row.where, row.what) == ("10.0.0.2", what)
    assert found in row.found
    assert mend in row.mend


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"disk": Room(4 * GIB, 100 * GIB)}, "disk"),  # Ray writes none at 95 %
        ({"disk": Room(GIB // 2, GIB)}, "disk"),
        ({"files": 256}, "open files"),
        ({"python": "3.11.9"}, "Python"),
    ],
)
def test_doubts_about_a_nodes_machine(change, what):
    rows = judge_node(replace(NODE, machine=replace(WELL, **change)), WELL)
    assert only(rows, "warning").what == what


def test_a_clock_is_doubted_only_as_far_as_the_answer_was_quick():
    assert all(row.state == "ok" for row in judge_node(replace(NODE, ahead=40, give=20), WELL))


@pytest.mark.parametrize(
    ("change", "what", "found", "mend"),
    [
        ({"ray": "2.59.0"}, "Ray", "Ray 2.59.0, here 2.60.0", 'pip install "ray==2.60.0"'),
        ({"python": "3.12.1"}, "Python", "Python 3.12.1, here 3.11.7", "on all machines"),
    ],
)
def test_other_versions_are_wrong(change, what, found, mend):
    row = only(judge_node(replace(NODE, machine=replace(WELL, **change)), WELL), "problem")
    assert (row.what, row.found, row.code) == (what, found, 9)
    assert mend in row.mend


def test_a_node_that_says_nothing_costs_one_row():
    (row,) = judge_node(NodeFacts("10.0.0.2", GIB, silence="no answer in 15s"), WELL)
    assert row[:4] == ("problem", "10.0.0.2", "answer", "no answer in 15s")
    assert row.code == 9


def test_ports_that_are_closed():
    rows = judge_node(replace(NODE, closed=(7, 8)), WELL)
    assert only(rows, "problem").found == "its ports 7 and 8 cannot be reached"
    rows = judge_node(replace(NODE, closed_here=(9,)), WELL)
    assert only(rows, "problem").found == "from there this machine's port 9 cannot be reached"
    rows = judge_node(NodeFacts("n", GIB, silence="it does not answer", closed=(7,)), WELL)
    assert [row.what for row in rows] == ["ports", "answer"]


@pytest.mark.parametrize(
    ("has_token", "why_unused", "wants", "state", "found"),
    [
        (False, "", None, "ok", "this machine has none"),
        (True, "", None, "ok", "this machine has one"),
        (True, "", True, "ok", "this machine has one, and the head takes it"),
        (False, "", False, "ok",
         "this machine has none; the head lets in whoever reaches its ports"),
        (False, "/f is not used: others can read it; `chmod 600 /f`", None, "warning",
         "/f is not used: others can read it"),
    ],
)  # fmt: skip
def test_the_token(has_token, why_unused, wants, state, found):
    row = judge_token(has_token, why_unused, wants)
    assert (row.state, row.found) == (state, found)
    assert row.mend == ("`chmod 600 /f`" if why_unused else "")


def test_extras():
    row = judge_extras(["s3"], ["tls (cryptography)"])
    assert row.found == "s3; not here: tls (cryptography)"
    assert judge_extras([], []).found == "none"


def test_without_a_cluster():
    assert judge_alone("this machine alone: none", is_gone=False).state == "ok"
    assert judge_alone("it is gone", is_gone=True).state == "warning"


def test_an_origin():
    (row,) = judge_remote(HERE, REMOTE, Reach(0.04))
    assert row == fine(HERE, "URL", "4 KiB, first byte after 40ms, byte ranges")
    stream = replace(REMOTE, ranges=False, why_no_ranges="the origin ignores byte ranges")
    row = only(judge_remote(HERE, stream, Reach(0.04)), "warning")
    assert "no byte ranges: the origin ignores byte ranges" in row.found
    row = only(judge_remote(HERE, replace(REMOTE, etag=None), Reach(0.04)), "warning")
    assert "states no version" in row.found


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Failure("timeout", "h did not answer"), 3),
        (Failure("tls", "the certificate of h is not trusted"), 3),
        (Failure("status", "h answered 403", 403), 4),
        (Failure("changed", "the file changed"), 5),
    ],
)
def test_an_origin_that_does_not_serve_a_node(failure, code):
    row = judge_reach("10.0.0.2", Reach(1.0, failure))
    assert (row.state, row.where, row.found) == ("problem", "10.0.0.2", failure.message)
    assert row.code == code


def test_the_exit_code_is_that_of_the_first_problem():
    rows = [
        fine("a", "b", "c"),
        wrong("a", "b", HttpError("x")),
        wrong("a", "b", ClusterError("y")),
    ]
    assert exit_code(rows) == 4
    assert rows[1].to_dict() == {
        "state": "problem", "where": "a", "what": "b", "found": "x", "mend": "", "code": 4
    }  # fmt: skip
