"""One file of many: what a list says of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from raydl.model.digests import BY_LENGTH, Checksum
from raydl.model.errors import UsageError
from raydl.model.pieces import Pieces
from raydl.model.weburl import check_url, is_hub

FIELDS = ("url", "path", "size", "digest")
"""What a list may say of a file: the columns of tables, the keys of objects."""


@dataclass(frozen=True)
class Item:
    """A file to fetch: from ``url``, to ``path`` in the directory of the run.

    ``path`` is relative, with slashes; None if the name is found otherwise. ``size`` is in bytes.
    ``number`` is the line or position in the list, from 1. ``mirrors`` are other URLs of the same
    file, the best first, and ``pieces`` the digests of its pieces, as in a Metalink.
    """

    url: str = field(repr=False)
    path: str | None = None
    size: int | None = None
    digest: Checksum | None = None
    number: int = 0
    mirrors: tuple[str, ...] = field(default=(), repr=False)
    pieces: Pieces | None = None

    @classmethod
    def of(cls, value: Any, number: int = 0) -> Item:
        """From a URL, from (url, path, digest), from a mapping with FIELDS, or an Item.

        Raises UsageError for what cannot be one; the URL itself is shown without secrets.
        """
        if isinstance(value, Item):
            return replace(value, number=number)
        if isinstance(value, str):
            values: dict[str, Any] = {"url": value}
        elif isinstance(value, Mapping):
            values = {name: value.get(name) for name in FIELDS}
        elif isinstance(value, tuple | list) and 0 < len(value) <= 3:
            values = dict(zip(("url", "path", "digest"), value, strict=False))
        else:
            raise UsageError(
                f"{type(value).__name__} is no file to fetch",
                "a URL, (URL, path), (URL, path, digest) or a mapping with a url",
            )
        url = values["url"]
        if not is_hub(url):
            check_url(url)
        try:
            f"{url}{values.get('path') or ''}".encode()
        except UnicodeEncodeError:
            raise UsageError("it has half a character", "lists are UTF-8") from None
        return cls(
            url.strip(),
            _text(values.get("path")),
            _size(values.get("size")),
            _digest(values.get("digest")),
            number,
        )


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UsageError(f"a path is a text, not {type(value).__name__}")
    return value


def _size(value: Any) -> int | None:
    if value is None or value == "":
        return None
    try:
        size = int(value)
    except (TypeError, ValueError, OverflowError):
        size = -1
    if isinstance(value, bool) or size < 0 or str(size) != str(value).removesuffix(".0"):
        raise UsageError("a size is a number of bytes")
    return size


def _digest(value: Any) -> Checksum | None:
    if value is None or value == "":
        return None
    if isinstance(value, Checksum):
        return value
    text = str(value).strip()
    bare = text.lower()
    if re.fullmatch("[0-9a-f]+", bare) and len(bare) in BY_LENGTH:
        text = f"{BY_LENGTH[len(bare)]}:{bare}"
    return Checksum.parse(text)
