"""``raydl verify``: a file that is here, held against digests, without a network."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raydl.many import metalink
from raydl.model.coverage import Coverage
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import ChecksumError, UsageError
from raydl.model.item import Item
from raydl.model.pieces import Pieces
from raydl.origin.proof import find_digest, read_list
from raydl.output.piecescan import right_pieces
from raydl.settings.options import Options


def verify(
    file: str,
    linked: str | None,
    checksum: str | None,
    checksum_file: str | None,
    as_json: bool,
) -> None:
    """Say whether a file is what one of these says. Raises RaydlError, of which ChecksumError where
    it is not."""
    if sum(value is not None for value in (linked, checksum, checksum_file)) != 1:
        raise UsageError(
            "there is nothing to check it against, or too much",
            "give one of --metalink FILE, --checksum ALG:HEX and --checksum-file FILE",
        )
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{path} is no file" if path.exists() else f"{path} is not there")
    try:
        if linked is not None:
            _hold_against(path, _item(path, Path(linked)), linked, as_json)
            return
        if checksum is not None:
            proof = Proof(Checksum.parse(checksum), "given")
        else:
            listed = read_list(Options.of({"checksum_file": checksum_file})) or ""
            proof = Proof(find_digest(listed, [path.name], str(checksum_file)), str(checksum_file))
        _tell(Verdict(path, digests=_digests(path, proof)), as_json)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _item(path: Path, linked: Path) -> Item:
    """What the Metalink says of the file: of that name, or the only one."""
    files = metalink.load(linked).files
    named = [f for f in files if isinstance(f, Item) and _name(f) == path.name]
    found = named if len(files) > 1 else files
    if len(found) != 1:
        raise UsageError(
            f"{linked} has {'several files' if found else 'no file'} named {path.name}"
        )
    if isinstance(found[0], UsageError):
        raise found[0]
    item = found[0]
    if item.pieces is None and item.digest is None and item.size is None:
        raise UsageError(f"{linked} has nothing to check {path} against")
    return item


def _name(item: Item) -> str:
    return (item.path or "").rpartition("/")[2]


def _hold_against(path: Path, item: Item, linked: str, as_json: bool) -> None:
    size = path.stat().st_size
    bad = Coverage()
    if item.pieces is not None:
        with path.open("rb") as file:
            right = right_pieces(file.fileno(), item.pieces, lambda: None)
        bad = right.missing(item.pieces.size)
        if bad.size:
            count = sum(_count(item.pieces, *run) for run in bad)
            error = ChecksumError(
                f"{count} of {item.pieces.count} pieces of {path} are bad",
                f"raydl fetch --repair -i {linked} --output-dir {path.parent} fetches only these",
            )
            error.report = Verdict(path, item.pieces, bad)
            if not as_json:
                error.report.tell()
            raise error
    if item.size not in (None, size):
        raise ChecksumError(f"{path} has {size} bytes, not {item.size}")
    digests = {} if item.digest is None else _digests(path, Proof(item.digest, "given"))
    _tell(Verdict(path, item.pieces, bad, digests), as_json)


def _digests(path: Path, proof: Proof) -> dict[str, str]:
    return proof.verify_file(path, lambda: None)


def _count(pieces: Pieces, start: int, stop: int) -> int:
    return -(-stop // pieces.length) - start // pieces.length


def _tell(verdict: Verdict, as_json: bool) -> None:
    if as_json:
        print(json.dumps(verdict.to_dict()))
    else:
        verdict.tell()


@dataclass(frozen=True)
class Verdict:
    """What a file is, beside what it should be: its ``bad`` bytes, and the digests it has."""

    path: Path
    pieces: Pieces | None = None
    bad: Coverage = field(default_factory=Coverage)
    digests: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "path": os.fspath(self.path),
            "right": not self.bad.size,
            "pieces": self.pieces.count if self.pieces else 0,
            "bad": list(self.bad),
            "digests": self.digests,
        }

    def tell(self) -> None:
        """Print it."""
        for start, stop in self.bad:
            assert self.pieces is not None
            first, count = start // self.pieces.length + 1, _count(self.pieces, start, stop)
            which = f"piece {first}" if count == 1 else f"pieces {first} to {first + count - 1}"
            print(f"bad: {which} of {self.pieces.count}, bytes {start} to {stop - 1}")
        if not self.bad.size:
            what = [str(self.pieces)] if self.pieces else []
            what += [f"{name}:{digest}" for name, digest in self.digests.items()]
            print(f"right: {self.path} ({', '.join(what) or 'its size'})")
