"""Copies of a file on made-up nodes, as events tell of them."""

from raydl.model.events import CopiesNow, CopyNow
from raydl.model.report import NodeShare, NodeShares, Report

MIB = 1 << 20
SIZE = 1024 * MIB


def copy(node, state="receiving", origin=0, peers=0, *, kept=0, problem=""):
    """In MiB; one that has the file has all of it."""
    counts = ((kept + origin + peers) * MIB, origin * MIB, peers * MIB)
    return CopyNow(node, state, *counts, problem)


def now(*copies):
    return CopiesNow(SIZE, copies)


def report_of(*shares, **values):
    """A report with these shares: (node, state, MiB of the origin, of peers, seconds)."""
    nodes = NodeShares(
        NodeShare(node, origin * MIB, 4, state, peers * MIB, seconds, "sha256:ab")
        for node, state, origin, peers, seconds in shares
    )
    return Report("http://h/f", "/data/f", SIZE, **values, nodes=nodes)
