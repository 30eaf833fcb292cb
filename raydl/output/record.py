"""The record beside a finished file on a node: which file it is, and its digest.

With it the next run knows what is there without reading it: ``.NAME.raydl`` beside ``NAME``.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from raydl.model.digests import Proof
from raydl.model.errors import TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.journal import LARGEST, NONSENSE, Journal, save_fields
from raydl.output.ranges import stamp_of
from raydl.settings.ownfile import open_own

VERSION = 1


def record_path(target: Path) -> Path:
    """Where the record of ``target`` is."""
    return target.with_name(f".{target.name}.raydl")


@dataclass(frozen=True)
class Record:
    """What a finished file is: its journal, its stamp (see ``stamp_of``), its digests (hex)."""

    journal: Journal
    stamp: tuple[int, ...]
    digests: dict[str, str]

    @classmethod
    def load(cls, path: Path) -> Record | None:
        """The record at ``path``; None where there is none of ours that can be understood."""
        try:
            with os.fdopen(open_own(path, os.O_RDONLY), "rb") as file:
                fields = json.loads(file.read(LARGEST))
            journal = Journal.parse(fields["journal"])
            stamp, digests = tuple(fields["stamp"]), dict(fields["digests"])
            is_known = fields["version"] == VERSION
        except (OSError, TargetError, RecursionError, *NONSENSE):
            return None
        is_sound = is_known and all(type(value) is str for value in digests.values())
        return cls(journal, stamp, digests) if journal is not None and is_sound else None

    def save(self, path: Path) -> None:
        """Replace the record at ``path`` in one step, durably. Raises OSError."""
        fields = {
            "version": VERSION,
            "journal": self.journal.record(),
            "stamp": self.stamp,
            "digests": self.digests,
        }
        save_fields(path, fields)

    def objection(self, fd: int, remote: Remote, identity: Identity, proof: Proof | None) -> str:
        """Why the open file is not known to be the one that ``remote`` is; else empty.

        Raises OSError.
        """
        if stamp_of(fd) != self.stamp:
            return "it was changed since it was downloaded"
        if self.journal.size != remote.size:
            return f"it has {self.journal.size} bytes, and the file has {remote.size}"
        if proof is not None:
            known = self.digests.get(proof.checksum.algorithm)
            if known is None:
                return f"its {proof.checksum.algorithm} is not known"
            return "" if known == proof.checksum.hex else "it has another digest"
        another = self.journal.another_url(remote, identity, False)
        if another:
            return f"it is of another URL, {another}"
        return self.journal.objection(remote, identity, False)
