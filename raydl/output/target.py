"""Where the file is to go: the path, what may be there already, and what else writes it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from raydl.model.digests import Proof
from raydl.model.errors import ChecksumError, OutputError, TargetError, UsageError
from raydl.model.naming import LONGEST_ENDING, unpacked_name
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.output.oserrors import output_error
from raydl.settings.options import Options

STDOUT = "-"


def in_directory(
    output: str | os.PathLike[str] | None, directory: str | None
) -> str | os.PathLike[str] | None:
    """``output``, within ``directory`` where there is one."""
    if directory is None:
        return output
    if output is None:
        return os.path.join(directory, "")  # noqa: PTH118 - says that it is a directory
    return os.path.join(directory, output)  # noqa: PTH118 - keeps a slash at the end


def planned_path(output: str | os.PathLike[str] | None) -> Path | None:
    """The target path where it is known before the probe: not for None or a directory."""
    if output is None:
        return None
    path = Path(output)
    try:
        is_directory = str(output).endswith(("/", os.sep)) or path.is_dir()
    except OSError as error:
        raise output_error(error, path) from None
    return None if is_directory else path


def target_path(output: str | os.PathLike[str] | None, remote: Remote) -> Path:
    """The target path: ``output``, or the remote's name in that directory or the current one."""
    path = planned_path(output)
    return path if path is not None else Path(output or ".") / remote.name


def tree_path(
    output: str | os.PathLike[str] | None, directory: str | None, name: str | None = None
) -> Path | None:
    """The directory that an archive becomes: ``output``, or what its ``name`` says, once that is
    known, in ``directory`` or the current one. Raises UsageError for what has no name."""
    if output is None:
        return None if name is None else Path(directory or ".") / unpacked_name(name)
    path = Path(directory or ".") / output
    if path.name in ("", ".."):
        raise UsageError(f"{output} is no name for a new directory", "give one with -o")
    return path


def check_target(path: Path, options: Options) -> bool:
    """Whether the target is there and to be skipped.

    Raises TargetError when it is there and neither option allows for that, and OutputError
    when its directory cannot take it.
    """
    try:
        return _check(path, options)
    except OSError as error:
        raise output_error(error, path) from None


def _check(path: Path, options: Options) -> bool:
    try:
        path.stat()
    except OSError as error:  # what is_dir() and exists() keep to themselves from Python 3.14 on
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
    if path.is_dir() and not options.extract:
        raise OutputError(f"{path} is a directory", f"write -o '{path}/' to save into it")
    exists = path.exists()
    if options.extract and (path.is_symlink() or (exists and not path.is_dir())):
        raise OutputError(f"{path} is no directory", "save elsewhere with -o")
    if exists and not path.is_file() and not options.extract:
        raise OutputError(f"{path} is no regular file", "save elsewhere, or pipe with -o -")
    if exists or path.is_symlink():
        if options.skip_existing and exists:
            return True
        if not (options.overwrite or (options.repair and exists)):
            raise TargetError(
                f"{path} exists already",
                "--overwrite replaces it, --skip-existing leaves it, "
                "or save under another name with -o",
            )
    _check_directory(path.parent)
    with contextlib.suppress(FileNotFoundError):
        path.with_name(path.name + LONGEST_ENDING).lstat()  # may be too long where path is not
    return False


def _check_directory(path: Path) -> None:
    """Raise OutputError where no file can come into being there."""
    if not path.is_dir():
        there = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
        if there is not None and not there.is_dir():
            raise OutputError(f"{there} is no directory", "save elsewhere with -o")
        raise OutputError(f"the directory {path} does not exist", f"create it: mkdir -p {path}")
    if not os.access(path, os.W_OK):
        raise OutputError(
            f"{path} cannot be written to: no permission, or read-only", "save elsewhere with -o"
        )


def verify_target(path: Path, proof: Proof, between: Callable[[], None]) -> dict[str, str]:
    """Hold what is at ``path`` already against a digest; ``between`` may end that.

    Raises ChecksumError, and OutputError for what cannot be read.
    """
    try:
        return proof.verify_file(path, between)
    except ChecksumError as error:
        error.hint = f"{error.hint}; --overwrite downloads it again"
        raise
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}") from None


def check_space(path: Path, needed: int) -> None:
    """Raise OutputError when the disk has not ``needed`` bytes left."""
    try:
        stats = os.statvfs(path.parent)
    except (OSError, AttributeError):
        return
    free = stats.f_bavail * stats.f_frsize
    if free < needed:
        raise OutputError(
            f"{path.parent} has {format_size(free)} free, {format_size(needed)} are needed",
            "free some space, or save elsewhere with -o",
        )


def sync_directory(path: Path) -> None:
    """Make the rename itself durable, where directories can be synced."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
