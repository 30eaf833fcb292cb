"""Where a download lands that is not for this machine, and what it needs for that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from raydl.cluster.address import ClusterChoice
from raydl.download.machines import machines
from raydl.download.sinkchoice import SinkChoice
from raydl.download.transfer import Fetching, placing
from raydl.landing import bucket, everynode, shared
from raydl.landing.desk import Means, Placing
from raydl.landing.s3 import Claim
from raydl.landing.sighting import WORTH_BYTES, Sighting
from raydl.model.control import Control
from raydl.model.coverage import Coverage
from raydl.model.digests import Proof
from raydl.model.errors import RangesIgnoredError, UsageError
from raydl.model.events import Emit, Notice
from raydl.model.remote import Remote
from raydl.model.report import Report
from raydl.origin.resolver import Located
from raydl.scheduler.destination import Destination
from raydl.settings.options import Options
from raydl.settings.values import EVERY_NODE, SHARED
from raydl.workers.protocol import Message

NO_VALIDATOR = (
    "the origin gives neither a strong ETag nor a date that is old enough to prove anything: a "
    "change of the file might go unnoticed; --checksum would prove the bytes"
)


def check_landing(sinks: SinkChoice, options: Options) -> None:
    """Raise UsageError for what cannot be, before anything is asked."""
    path = sinks.planned_path()
    if sinks.bucket is not None:
        raise UsageError(
            f"--to {options.to} and {sinks.bucket} contradict each other",
            "--to here is for the bucket",
        )
    if not sinks.is_file:
        raise UsageError(f"--to {options.to} needs a file", "-o /PATH/TO/FILE, or -o /DIRECTORY/")
    if options.to == SHARED:
        return
    hint = "-o /PATH/TO/FILE, or -o /DIRECTORY/ for the origin's name"
    check_absolute(path or sinks.directory, options.to, hint)


def check_absolute(given: str | Path | None, to: str, hint: str) -> None:
    """Raise UsageError for what is not the same place on each node."""
    if given is None or not Path(given).is_absolute():
        where = "none is given" if given is None else f"{given} is none"
        raise UsageError(f"--to {to} needs an absolute path, the same on each node: {where}", hint)


def check_cluster(choice: ClusterChoice, options: Options) -> None:
    """Raise UsageError where nodes are needed and there are none."""
    if choice.how == "none" and options.to == EVERY_NODE:
        raise UsageError(
            f"--to every-node needs a Ray cluster: {choice.note}",
            "start one with `ray start --head`, or give --address HOST:PORT",
        )


def tell_of_unused(sinks: SinkChoice, options: Options, emit: Emit) -> None:
    """Tell of the options that mean nothing for where it goes."""
    unused = [] if options.to == EVERY_NODE else ["nodes", "verify"]
    if options.to == EVERY_NODE or sinks.bucket is not None or options.extract:
        unused.append("keep_bad")
    where = sinks.bucket or ("--extract" if options.extract else f"--to {options.to}")
    for name in unused:
        if getattr(options, name):
            emit(Notice(f"--{name.replace('_', '-')} changes nothing with {where}"))


def lands_elsewhere(remote: Remote, sinks: SinkChoice, options: Options) -> bool:
    """Whether what was found goes elsewhere than through this process in order.

    A file without byte ranges can come as one stream into a directory that nodes share.
    """
    if sinks.bucket is not None or options.to == EVERY_NODE:
        return True
    return options.to == SHARED and remote.ranges and remote.size is not None


@contextlib.contextmanager
def sighting(
    found: Located, path: Path | None, choice: ClusterChoice, emit: Emit
) -> Iterator[None]:
    """Tell, while a large file comes here, where nodes see its directory, too."""
    remote = found.remote
    is_worth_it = remote.ranges and (remote.size or 0) >= WORTH_BYTES
    if path is None or choice.how == "none" or not is_worth_it:
        yield
        return
    seen = Sighting(path.with_name(f"{path.name}.part"), emit)
    with machines.cluster(choice, False, lambda: False, seen.hear):
        yield


@dataclass(frozen=True)
class Landing:
    """A download whose bytes go elsewhere than through this process in order."""

    found: Located
    proof: Proof | None
    choice: ClusterChoice
    options: Options
    emit: Emit
    control: Control
    claim: Claim

    def land(self, sinks: SinkChoice) -> Report:
        """Bring what was found to where it is to be. Raises RaydlError."""
        remote, options = self.found.remote, self.options
        if sinks.bucket is None and (not remote.ranges or remote.size is None):
            raise RangesIgnoredError(
                f"the nodes cannot share the work: {remote.why_no_ranges}",
                f"without --to {options.to} it comes in one stream, to this machine",
            )
        tell_of_doubt(remote, self.proof is not None, self.emit)
        if sinks.bucket is not None:
            is_alone = self.choice.how == "none"
            how = Fetching.by(options, threads=is_alone, at_once=not is_alone)
            return bucket.run(self._means(how, True), sinks.bucket)
        path = sinks.path(remote)
        assert path is not None
        if options.to == SHARED:
            # What is shared needs no worker that the fetching does not need.
            how = Fetching.by(options, threads=options.fetch_here, at_once=False)
            return shared.run(self._means(how, self.choice.how == "local"), path, sinks.mode_of)
        how = Fetching.by(options, threads=False, at_once=True)
        return everynode.run(self._means(how, True), path)

    def _means(self, how: Fetching, here: bool) -> Means:
        """``here``: this machine's node gets a worker, too."""
        found, choice, options, emit = self.found, self.choice, self.options, self.emit

        @contextlib.contextmanager
        def fetch(destination: Destination, kept: Coverage) -> Iterator[Placing]:
            with placing(found, destination, choice, options, emit, kept=kept, how=how) as job:
                yield job

        @contextlib.contextmanager
        def fleet(listen: Callable[[Message], None]) -> Iterator[None]:
            with machines.cluster(choice, here, lambda: how.at_once, listen):
                yield

        alone, proof = choice.how == "none", self.proof
        return Means(found, proof, options, emit, self.control, fetch, fleet, alone, self.claim)


def tell_of_doubt(remote: Remote, is_proven: bool, emit: Emit) -> None:
    """Tell what might go unnoticed where no digest will prove the bytes, and of packed files."""
    if remote.ranges and remote.validator is None and not is_proven:
        emit(Notice(NO_VALIDATOR))
    if remote.coding:
        emit(Notice(f"the file lies packed on the origin ({remote.coding}): it is saved like that"))
