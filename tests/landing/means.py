"""What a download gives to a landing, made by hand."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import Any

from raydl.cluster.address import ClusterChoice
from raydl.download.machines import machines
from raydl.download.transfer import Fetching, placing
from raydl.landing.desk import Means
from raydl.model.control import Control
from raydl.model.digests import Proof
from raydl.origin.resolver import resolve
from raydl.settings.options import Options


def make_means(url: str, events: list[Any], address: str | None = None, **values: Any) -> Means:
    """The means of a download of ``url``, alone or with the cluster at ``address``."""
    options, control = Options.of(values), Control()
    found = resolve(url, options, events.append, control)
    choice = ClusterChoice("cluster", address, "") if address else ClusterChoice("none", None, "")
    how = Fetching(threads=not address, at_once=bool(address))

    @contextmanager
    def fleet(listen: Any) -> Any:
        with machines.cluster(choice, True, lambda: True, listen):
            yield

    return Means(
        found=found,
        proof=Proof(options.checksum, "given") if options.checksum else found.remote.digest,
        options=options,
        emit=events.append,
        control=control,
        fetch=lambda to, kept: placing(
            found, to, choice, options, events.append, kept=kept, how=how
        ),
        fleet=fleet if address else lambda _: nullcontext(),
        is_alone=not address,
    )
