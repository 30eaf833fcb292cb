"""Metalinks as people write them, of real bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

V4 = "urn:ietf:params:xml:ns:metalink"
V3 = "http://www.metalinker.org/"


def digests_of(data: bytes, length: int, algorithm: str = "sha1") -> list[str]:
    return [
        hashlib.new(algorithm, data[at : at + length]).hexdigest()
        for at in range(0, len(data), length)
    ]


def pieces_of(hashes: Iterable[str], length: int, kind: str = "sha-1") -> str:
    inner = "".join(f"<hash>{digest}</hash>" for digest in hashes)
    return f'<pieces length="{length}" type="{kind}">{inner}</pieces>'


def file_of(
    data: bytes,
    urls: Sequence[str],
    *,
    name: str = "f.iso",
    length: int = 0,
    whole: bool = True,
    more: str = "",
    size: int | None = None,
) -> str:
    """A file of version 4; the first URL is the best."""
    inner = f"<size>{len(data) if size is None else size}</size>{more}"
    if whole:
        inner += f'<hash type="sha-256">{hashlib.sha256(data).hexdigest()}</hash>'
    if length:
        inner += pieces_of(digests_of(data, length), length)
    for number, url in enumerate(urls, 1):
        inner += f'<url priority="{number}">{url}</url>'
    return f'<file name="{name}">{inner}</file>'


def metalink(*files: str) -> bytes:
    return f'<?xml version="1.0"?><metalink xmlns="{V4}">{"".join(files)}</metalink>'.encode()
