"""How `raydl fetch` goes on with this machine alone, where Ray has ended the process."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace

from raydl.cli.guard import stand_by
from raydl.cli.outcome import clear
from raydl.cluster.address import may_be_cluster
from raydl.model.errors import ClusterError
from raydl.settings.options import Options


def guarded(options: Options, can_start_again: bool) -> Options:
    """The options for the process that does the work; where Ray has ended that, it is this one.

    ``can_start_again``: whether nothing is used up that would be wanted again.
    """
    if may_be_cluster(options.address) and stand_by(starts_ray=options.address == "local"):
        return _alone(options, can_start_again)
    return options


def _alone(options: Options, can_start_again: bool) -> Options:
    """Options to go on with, where Ray has ended the process that downloaded."""
    what = "Ray ended the download, as it does when its node on this machine has ended"
    if not can_start_again:
        raise ClusterError(what, "what is out cannot be taken back: start again")
    if not options.fetch_here:
        raise ClusterError(what, "once the node is there, the same command goes on")
    with contextlib.suppress(OSError):
        print(end=clear(), file=sys.stderr, flush=True)  # the bar is still there
    from raydl.cli.notices import say

    say(options.progress, [f"going on without the cluster: {what}"])
    return replace(options, address="none")
