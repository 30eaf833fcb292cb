"""``raydl verify``: a file that is here, held against digests, without a network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from raydl.many import metalink
from raydl.model.coverage import Coverage
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import ChecksumError, OutputError, UsageError
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
        raise UsageError("verify against what?", "--metalink, --checksum or --checksum-file")
    path = Path(file)
    if not path.is_file():
        raise OutputError(f"{path} is no file" if path.exists() else f"{path} is not there")
    try:
        if linked is not None:
            _hold_against(path, _item(path, Path(linked)), linked, as_json)
            return
        if checksum is not None:
            proof = Proof(Checksum.parse(checksum), "given")
        else:
            listed = read_list(Options.of({"checksum_file": checksum_file})) or ""
            proof = Proof(find_digest(listed, [path.name], str(checksum_file)), str(checksum_file))
        _tell(path, as_json, digests=_digests(path, proof))
    except OSError as error:
        raise OutputError(f"cannot read {path}: {error.strerror}") from None


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
        raise UsageError(f"{linked} has nothing to hold {path} against")
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
            _tell(path, as_json, pieces=item.pieces, bad=bad)
            count = sum(_count(item.pieces, *run) for run in bad)
            raise ChecksumError(
                f"{count} of {item.pieces.count} pieces of {path} are bad",
                f"raydl fetch --repair -i {linked} fetches only these",
            )
    if item.size not in (None, size):
        raise ChecksumError(f"{path} has {size} bytes, not {item.size}")
    digests = {} if item.digest is None else _digests(path, Proof(item.digest, "given"))
    _tell(path, as_json, pieces=item.pieces, bad=bad, digests=digests)


def _digests(path: Path, proof: Proof) -> dict[str, str]:
    return proof.verify_file(path, lambda: None)


def _count(pieces: Pieces, start: int, stop: int) -> int:
    return -(-stop // pieces.length) - start // pieces.length


def _tell(
    path: Path,
    as_json: bool,
    *,
    pieces: Pieces | None = None,
    bad: Coverage | None = None,
    digests: dict[str, str] | None = None,
) -> None:
    bad = bad or Coverage()
    if as_json:
        record: dict[str, Any] = {"path": os.fspath(path), "right": not bad.size}
        record |= {
            "pieces": pieces.count if pieces else 0,
            "bad": list(bad),
            "digests": digests or {},
        }
        print(json.dumps(record))
        return
    for start, stop in bad:
        assert pieces is not None
        first, count = start // pieces.length + 1, _count(pieces, start, stop)
        which = f"piece {first}" if count == 1 else f"pieces {first} to {first + count - 1}"
        print(f"bad: {which} of {pieces.count}, bytes {start} to {stop - 1}")
    if not bad.size:
        what = [str(pieces)] if pieces else []
        what += [f"{name}:{digest}" for name, digest in (digests or {}).items()]
        print(f"right: {path} ({', '.join(what) or 'its size'})")
