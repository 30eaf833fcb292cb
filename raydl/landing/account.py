"""What is said of the nodes' copies: while they come, and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raydl.landing.desk import Placing
from raydl.landing.replicas import Phase, Replica, Replicas
from raydl.model.errors import IncompleteError, RaydlError, error_named
from raydl.model.events import CopiesNow, CopyNow
from raydl.model.report import NodeShare, NodeShares

AGAIN = "run the same command again"
OVERDUE, UNSTARTED = "it does not answer", "no worker starts there"


def copies_now(replicas: Replicas) -> CopiesNow:
    """The event that tells how far they are."""
    copies = (
        CopyNow(r.node, r.phase.value, r.written.size, r.from_origin, r.from_peers, r.problem)
        for r in replicas
    )
    return CopiesNow(replicas.size, tuple(copies))


def give_up_the_rest(replicas: Replicas) -> None:
    """Who has not got the file by now does not get it."""
    for replica in replicas:
        if not replica.phase.is_over:
            overdue = UNSTARTED if replica.phase is Phase.AWAITED else OVERDUE
            replica.problem = replica.problem or overdue
            replica.phase = Phase.FAILED


def incomplete(replicas: Replicas, path: Path) -> IncompleteError:
    """The error that names the nodes that have not got it."""
    missing = [replica for replica in replicas if not replica.phase.has_file]
    each = "; ".join(f"{r.node}: {r.problem or OVERDUE}" for r in missing)
    hints = dict.fromkeys(r.hint for r in missing if r.hint and r.hint != AGAIN)
    return IncompleteError(
        f"{len(missing)} of {len(replicas)} nodes do not have {path}: {each}",
        f"{'; '.join(hints)}; then the same command goes on with just these"
        if hints
        else "the same command goes on with just these",
    )


def error_of_all(replicas: Replicas, path: Path) -> RaydlError:
    """The error where all have failed: that of the first, where all failed alike."""
    failed = list(replicas)
    first = failed[0]
    if len({replica.kind for replica in failed}) > 1:
        return incomplete(replicas, path)
    where = f"every node: {first.node}" if len(failed) > 1 else first.node
    return error_named(first.kind, f"{where}: {first.problem}", first.hint)


def shares(replicas: Replicas, jobs: Sequence[Placing], algorithm: str) -> NodeShares:
    """What each node fetched, and what became of its copy."""
    fetched = {share.node: share for job in jobs for share in job.meter.shares()}
    rows = [_share(replica, fetched.get(replica.node), algorithm) for replica in replicas]
    others = [share for node, share in fetched.items() if replicas.get(node) is None]
    return NodeShares((*rows, *others))


def _share(replica: Replica, fetched: NodeShare | None, algorithm: str) -> NodeShare:
    return NodeShare(
        replica.node,
        fetched.bytes if fetched else 0,
        fetched.lanes if fetched else 0,
        state=replica.phase.value,
        from_peers=replica.from_peers,
        seconds=round(replica.seconds, 3),
        digest=f"{algorithm}:{replica.digest}" if replica.digest else "",
        problem=replica.problem,
    )
