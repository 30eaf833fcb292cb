"""Downloads, counted for whoever watches the cluster: from their events to Ray's metrics."""

from __future__ import annotations

from contextlib import ExitStack

from raydl.cluster.address import ClusterChoice
from raydl.cluster.metrics import RAY_METRICS
from raydl.model.events import Emit, Event
from raydl.view.tally import Tallies
from raydl.workers.protocol import HERE

REFS, BUCKET = "refs", "bucket"
"""Kinds of destinations beside those of ``--to``."""

tallies = Tallies()
"""Those of this process."""


def counted(
    emit: Emit,
    choice: ClusterChoice,
    destination: str,
    stack: ExitStack,
    stream: tuple[str, str] | None = None,
) -> Emit:
    """``emit``, with each event counted before, until ``stack`` is left; see ``Tally``.

    Where this machine is alone, nothing is. What was counted before the process was connected is
    handed on as soon as it is, and forgotten where the download ends before.
    """
    if choice.how == "none":
        return emit
    tally = tallies.open(destination, stream)

    def end() -> None:
        tally.rest()
        export()
        tallies.close(tally)

    stack.callback(end)

    def count(event: Event) -> None:
        tally.take(event)
        emit(event)

    return count


def export() -> None:
    """Hand on what is new. Raises nothing."""
    RAY_METRICS.export(tallies.drain, HERE)
