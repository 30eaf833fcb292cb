"""Who writes a ``.part`` file that several hosts see: a record in its journal.

No lock tells: on some of the file systems that clusters share, ``flock`` says yes to everybody. Who
writes saves the journal again and again, so that its age shows whether the writer lives.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from pathlib import Path

from raydl.model.errors import TargetError
from raydl.output.journal import boot_id

BEAT_SECONDS = 2.0
"""The longest time between two savings of a journal that has an owner."""

GONE_SECONDS = 30.0
"""The age of a journal that shows that its owner is gone: a disk may be slow to save one."""

OWNERS_HERE: set[str] = set()
"""Those of this process that write."""


def new_owner() -> str:
    """The record of a run of this process: where its number counts, the number, a nonce."""
    return f"{_place()} {os.getpid()} {secrets.token_hex(16)}"


def nonce_of(owner: str) -> str:
    """What no other run has."""
    return owner.rpartition(" ")[2]


def meeting_place(target: Path, owner: str) -> Path:
    """Where that run and its nodes leave word for one another."""
    return target.with_name(f"{target.name}.part.{nonce_of(owner)[:8]}")


def is_alive(owner: str, journal: Path) -> bool:
    """Whether the run with this record may still be at it. Raises OSError."""
    place, _, number = owner.rpartition(" ")[0].rpartition(" ")
    if place == _place() and number == str(os.getpid()):
        return owner in OWNERS_HERE
    if place == _place() and number.isdecimal() and not _runs(int(number)):
        return False
    return _age(journal) < GONE_SECONDS


def written_by_another(target: Path) -> TargetError:
    """The error for a file that another run writes."""
    return TargetError(f"another raydl is writing {target}", "wait for it, or save elsewhere")


def _place() -> str:
    """This host and boot, and within them what gives processes their numbers."""
    numbers = ""
    with contextlib.suppress(OSError):
        numbers = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - names no path
    return f"{socket.gethostname()}/{boot_id()}/{numbers}"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    with contextlib.suppress(OSError):
        # One that has ended keeps its number until somebody asks for its end.
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True


def _age(path: Path) -> float:
    """Seconds since it was written, by the clock of the file system that has it."""
    with path.open("rb") as file, tempfile.TemporaryFile(dir=path.parent) as made:
        # Opened: so that a file system over a network asks its server.
        return os.fstat(made.fileno()).st_mtime - os.fstat(file.fileno()).st_mtime
