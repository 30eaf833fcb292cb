"""One file of many that is too large for one lane, brought to a disk by a download of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from raydl.download.download import run
from raydl.download.piecechoice import must_have_size
from raydl.many.host import Task
from raydl.many.large import Job, brought_by
from raydl.model.control import Control
from raydl.model.digests import GIT, Checksum, Proof, new_hash_of
from raydl.model.errors import RaydlError, TargetError, UsageError
from raydl.settings.options import Options
from raydl.workers.smallfiles import Brought

READ_SIZE = 8 << 20


def to_nodes(job: Job, options: Options) -> Brought:
    """To its path on every node. Raises RaydlError."""
    digest = job.task.item.digest
    if digest is not None and digest.algorithm == GIT:
        raise UsageError(f"{job.task.path} is too large for an id of git on every node")
    report = run(
        job.url,
        str(job.path),
        replace(options, checksum=digest),
        job.heard,
        job.control,
        job.task.listed,
    )
    job.was_there = report.skipped
    return brought_by(report)


def to_here(job: Job, options: Options) -> Brought:
    """To its path, which this machine sees, and which was looked at before. Raises RaydlError."""
    task, path, digest = job.task, job.path, job.task.item.digest
    is_of_git = digest is not None and digest.algorithm == GIT
    options = replace(
        options,
        skip_existing=False,
        checksum=None if is_of_git else digest,
        overwrite=options.overwrite or task.stamp is not None,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    _must_be_as_it_was(path, task)
    report = run(job.url, str(path), options, job.heard, job.control, task.listed)
    brought = brought_by(report)
    job.was_there = report.skipped
    if job.was_there:  # nothing was to be mended
        return brought
    try:
        must_have_size(brought.size, task.item)
        if digest is not None and is_of_git:
            _compare(path, digest, job.control)
    except RaydlError:
        path.unlink()
        raise
    return brought._replace(written=path.stat().st_mtime_ns)


def _must_be_as_it_was(path: Path, task: Task) -> None:
    """Raise TargetError where what may be replaced is another file by now."""
    if task.stamp is not None and path.exists():
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != task.stamp:
            raise TargetError(f"{path} exists already", "--overwrite replaces it")


def _compare(path: Path, digest: Checksum, control: Control) -> None:
    """Hold a file against its id in git, which no digest of its bytes is. Raises RaydlError."""
    found = new_hash_of(GIT, path.stat().st_size)
    with path.open("rb") as file:
        while data := file.read(READ_SIZE):
            found.update(memoryview(data))
            control.wait(0)
    Proof(digest, "given").verify(found.hexdigest(), str(path))
