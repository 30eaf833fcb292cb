"""One file of many that is too large for one lane, brought to a disk by a download of its own."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from raydl.download.download import run
from raydl.many.host import Task
from raydl.many.large import Job, brought_by
from raydl.model.control import Control
from raydl.model.digests import GIT, Checksum, Proof, new_hash_of
from raydl.model.errors import RaydlError, TargetError, UsageError
from raydl.output.newfile import same_there
from raydl.output.oserrors import output_error
from raydl.output.partfile import give_name
from raydl.output.target import sync_directory
from raydl.settings.options import Options
from raydl.workers.smallfiles import Brought

READ_SIZE = 8 << 20


def checksum_of(task: Task, where: str) -> Checksum | None:
    """The digest that it must have. Raises UsageError for an id of git, which takes the file."""
    digest = task.item.digest
    if digest is not None and digest.algorithm == GIT:
        raise UsageError(f"{task.path} is too large for an id of git {where}")
    return digest


def to_nodes(job: Job, options: Options) -> Brought:
    """To its path on every node. Raises RaydlError."""
    digest = checksum_of(job.task, "on every node")
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
    # What may be in the way by then is looked at once all of it is there, and is right.
    is_aside = not task.mends and (task.stamp is not None or task.may_be_there or is_of_git)
    came = path.with_name(f".raydl-{task.key.hex()}") if is_aside else path
    overwrite = options.overwrite
    options = replace(
        options,
        skip_existing=False,
        checksum=None if is_of_git else digest,
        overwrite=overwrite or is_aside or task.stamp is not None,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    mode_of = path if is_aside else None
    report = run(
        job.url, str(came), options, job.heard, job.control, task.listed, mode_of=mode_of
    )  # fmt: skip
    brought = brought_by(report)
    job.was_there = report.skipped
    if job.was_there:  # nothing was to be mended
        return brought
    if is_aside:
        try:
            if digest is not None and is_of_git:
                _compare(came, digest, job.control)
            _take_place(came, path, task, overwrite, job.control)
        except RaydlError:
            came.unlink(missing_ok=True)
            raise
    return brought._replace(written=path.stat().st_mtime_ns, name=path.name)


def _take_place(came: Path, path: Path, task: Task, overwrite: bool, control: Control) -> None:
    """Give what came its name. Raises TargetError where something else has that by now, and
    CancelledError."""
    try:
        there = path.lstat() if os.path.lexists(path) else None
        stamp = None if there is None else (there.st_size, there.st_mtime_ns)
        if there is not None and (overwrite or stamp == task.stamp):
            if stat.S_ISREG(there.st_mode):
                came.chmod(stat.S_IMODE(there.st_mode))
            came.replace(path)
        elif there is not None and task.may_be_there and _is_same(came, path, control):
            came.unlink()
        else:
            give_name(came, path)
        sync_directory(path.parent)
    except FileExistsError:
        raise TargetError(f"{path} exists already", "--overwrite replaces it") from None
    except OSError as error:
        raise output_error(error, path) from None


def _is_same(came: Path, path: Path, control: Control) -> bool:
    with came.open("rb") as ours:
        return same_there(ours.fileno(), str(path), lambda: control.wait(0)) is not None


def _compare(path: Path, digest: Checksum, control: Control) -> None:
    """Hold a file against its id in git, which no digest of its bytes is. Raises RaydlError."""
    found = new_hash_of(GIT, path.stat().st_size)
    with path.open("rb") as file:
        while data := file.read(READ_SIZE):
            found.update(memoryview(data))
            control.wait(0)
    Proof(digest, "given").verify(found.hexdigest(), str(path))
