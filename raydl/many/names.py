"""Where each file of many goes: a path in the directory of the run, and never outside it."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from raydl.model.errors import UsageError
from raydl.model.item import Item
from raydl.model.naming import MAX_NAME_BYTES, file_name, is_obeyed, plain_name
from raydl.model.units import counted, printable
from raydl.model.weburl import path_of, split

MOST_PIECES = 64
"""Directories in each other, at most."""

_FIELD = re.compile(r"\{(\w*)(?::0?(\d))?\}")

BUCKETS = 64


class Naming:
    """Names files by a template such as ``{host}/{path}``, else by their URL.

    ``{host}`` and ``{path}`` are those of the URL, ``{name}`` is what its path ends with, and
    ``{number}`` the place in the list (``{number:6}`` in six digits). ``hidden``: whether a list
    may give hidden names. Raises UsageError.
    """

    def __init__(self, template: str | None = None, hidden: bool = True) -> None:
        self._template, self._hidden = template, hidden
        if template is not None:
            for name, digits in _FIELD.findall(template):
                if name not in _VALUES or (digits and name != "number"):
                    raise UsageError(
                        f"--name has no {{{name}}}", f"it has {', '.join(map(_braced, _VALUES))}"
                    )
            if "{" in _FIELD.sub("", template) or not _FIELD.search(template):
                raise UsageError(
                    f"--name {template!r} names all files alike", "such as {host}/{path}"
                )

    def path(self, item: Item) -> str:
        """The path of the item, with slashes. Raises UsageError."""
        if item.path is not None:
            return checked(item.path, self._hidden)
        if self._template is None:
            return file_name(None, item.url)
        return checked(_FIELD.sub(lambda match: _value(item, *match.groups()), self._template))


def checked(path: str, hidden: bool = True) -> str:
    """The path as it is, if it stays in its directory and raydl obeys no file there.

    ``hidden``: whether its first name may begin with a dot. Raises UsageError.
    """
    shown = printable(path)[:80]
    pieces = path.split("/")
    for piece in pieces:
        if piece in ("", ".", ".."):
            raise UsageError(f"the path {shown} leaves its directory, or is none")
        if len(piece.encode(errors="surrogateescape")) > MAX_NAME_BYTES:
            raise UsageError(f"the path {shown} has a name that is too long")
        if not piece.isprintable() or "\\" in piece or is_obeyed(piece):
            raise UsageError(f"{printable(piece)} can be no file's name")
    if len(pieces) > MOST_PIECES:
        raise UsageError(f"the path {shown} is too deep")
    if path.startswith("-"):
        raise UsageError(f"{shown} would be taken for an option")
    if path.startswith(".") and not hidden:
        raise UsageError(f"{shown} is a hidden name, and no directory is given", "--output-dir .")
    return path


def _braced(name: str) -> str:
    return f"{{{name}}}"


def _value(item: Item, name: str, digits: str | None) -> str:
    if name == "number":
        return f"{item.number:0{digits or 1}}"
    return _VALUES[name](item)


def _host(item: Item) -> str:
    return plain_name(split(item.url).netloc.rpartition("@")[2].replace(":", "_")) or "host"


def _path(item: Item) -> str:
    pieces = path_of(item.url).split("/")
    return "/".join(filter(None, map(plain_name, pieces))) or "index"


def _name(item: Item) -> str:
    return file_name(None, item.url)


_VALUES: dict[str, Callable[[Item], str]] = {
    "host": _host,
    "path": _path,
    "name": _name,
    "number": lambda item: str(item.number),
}


class Names:
    """Which names were given already, and to what; 16 bytes for each, so that a list may be long.

    They are compared by hashes of 64 bits: of ten million names two are taken for one with a
    chance of one in 300,000.
    """

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]

    def add(self, path: str, url: str) -> None:
        """What is at that URL gets that name."""
        pair = _mark(path) + _mark(url)
        self._buckets[pair[0] % BUCKETS] += pair

    def conflicts(self) -> set[bytes]:
        """The marks of names that would be those of several files."""
        found: set[bytes] = set()
        for bucket in self._buckets:
            pairs = sorted(bytes(bucket[at : at + 16]) for at in range(0, len(bucket), 16))
            for one, two in pairwise(pairs):
                if one[:8] == two[:8] and one != two:
                    found.add(one[:8])
        return found


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()


class Extent(NamedTuple):
    """How many ``files`` a list has, and their ``size``: None where it does not say each one's."""

    files: int
    size: int | None


class SameNameError(UsageError):
    """Two files would have one name."""


def must_differ(read: Callable[[], Iterator[object]], naming: Naming) -> Extent:
    """Look at a whole list, which ``read`` reads; returns how much that is.

    Raises SameNameError where two files would have one name.
    """
    names, count, size = Names(), 0, 0
    has_sizes = True
    for entry in read():
        count += 1
        if isinstance(entry, Item):
            has_sizes = has_sizes and entry.size is not None
            size += entry.size or 0
            if (path := _path_of(entry, naming)) is not None:
                names.add(path, entry.url)
    conflicts = names.conflicts()
    if conflicts:
        paths = ((_path_of(entry, naming), number) for number, entry in enumerate(read(), 1))
        found: dict[str, list[int]] = {}
        for path, number in paths:
            if path is not None and _mark(path) in conflicts and (path in found or not found):
                found.setdefault(path, []).append(number)
        ((path, numbers),) = found.items()
        raise SameNameError(
            f"{printable(path)} would be the name of {counted(len(numbers), 'file')}, number "
            f"{numbers[0]} and {numbers[1]} of the list" + _others(len(conflicts) - 1),
            "name them apart: --name '{number}-{name}', or '{host}/{path}'",
        )
    return Extent(count, size if has_sizes else None)


def _path_of(entry: object, naming: Naming) -> str | None:
    """None of what has none: that is told when it is its turn."""
    with contextlib.suppress(UsageError):
        return naming.path(entry) if isinstance(entry, Item) else None
    return None


def _others(count: int) -> str:
    return f"; and so on, {counted(count, 'name')} more" if count else ""
