"""Metalinks: files, each with mirrors and digests, of its pieces too (RFC 5854, and version 3).

Strangers write these: nothing in them is expanded or looked up, and no name leaves the directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raydl.many.names import checked
from raydl.model.digests import ALGORITHMS, Checksum, is_known
from raydl.model.errors import UsageError
from raydl.model.item import Item
from raydl.model.pieces import Pieces
from raydl.model.units import counted, format_size, printable
from raydl.model.weburl import check_url

ENDINGS = (".meta4", ".metalink")

LARGEST = 16 << 20
"""Bytes of a Metalink: some 300,000 pieces."""

MOST_MARKS = 1 << 20
"""Elements and attributes, about, each of which takes a hundred bytes of memory."""

MOST_FILES = 10_000

MOST_URLS = 100
"""Of one file; the best of them count."""

_LAST = 999_999
"""The priority of a URL without one (RFC 5854, section 4.2.16.1)."""

_NAMESPACES = {
    "urn:ietf:params:xml:ns:metalink": "file",
    "http://www.metalinker.org/": "files/file",
}
"""By namespace, which tells the version: where the files are."""


class Metalink(NamedTuple):
    """Its files in their order, or why one of them cannot be fetched; and what else is to be said
    of it."""

    files: list[Item | UsageError]
    notes: list[str]


def load(path: Path) -> Metalink:
    """The Metalink at ``path``. Raises UsageError."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"the Metalink {path} cannot be read: {error.strerror}") from None
    try:
        return parse(data)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from None


def parse(data: bytes) -> Metalink:
    """The same of its bytes."""
    if len(data) > LARGEST:
        raise UsageError(f"a Metalink is not larger than {format_size(LARGEST)}")
    if data.count(b"<") + data.count(b"=") > MOST_MARKS:
        raise UsageError("a Metalink has not that many elements")
    root = _tree(data)
    where = _NAMESPACES.get(_split(root)[0])
    if where is None or _split(root)[1] != "metalink":
        raise UsageError("it is no Metalink", "RFC 5854 (.meta4) or version 3 (.metalink)")
    notes: list[str] = []
    files: list[Item | UsageError] = []
    for number, file in enumerate(_below(root, where), 1):
        if number > MOST_FILES:
            raise UsageError(f"a Metalink has no more than {MOST_FILES:,} files")
        try:
            files.append(_file(file, number, notes.append))
        except UsageError as error:
            name = printable(file.get("name", ""))[:80]
            files.append(UsageError(f"{name or f'file {number}'}: {error.message}", error.hint))
    if not files:
        raise UsageError("the Metalink has no files")
    return Metalink(files, notes)


def _tree(data: bytes) -> Any:
    try:
        from defusedxml import DefusedXmlException
        from defusedxml.ElementTree import ParseError, fromstring
    except ImportError:
        raise UsageError("Metalinks need a library", "pip install defusedxml") from None
    try:
        return fromstring(data, forbid_dtd=True)
    except DefusedXmlException:
        raise UsageError("it defines entities, which no Metalink needs") from None
    except (ParseError, ValueError, LookupError, RecursionError):
        raise UsageError("it is no XML") from None


def _split(element: Any) -> tuple[str, str]:
    """Its namespace and name; version 3 is often written without care for either."""
    namespace, _, name = str(element.tag).rpartition("}")
    return namespace.removeprefix("{"), name


def _below(element: Any, path: str) -> Iterator[Any]:
    """The elements at that path, whatever their namespace."""
    name, _, rest = path.partition("/")
    for child in element:
        if _split(child)[1] == name:
            yield from _below(child, rest) if rest else (child,)


def _text(element: Any) -> str:
    return (element.text or "").strip()


def _file(file: Any, number: int, tell: Callable[[str], None]) -> Item:
    name = checked((file.get("name") or "").strip())
    urls, others = _urls(file)
    if not urls:
        raise UsageError("there is no http or https URL for it")
    if others:
        tell(f"{name}: left out {counted(others, 'URL')} that http does not fetch")
    size, pieces = _size(file), None
    digests = [*_below(file, "hash"), *_below(file, "verification/hash")]
    listed = [*_below(file, "pieces"), *_below(file, "verification/pieces")]
    if listed and size is None:
        tell(f"{name}: without the size of the file its pieces count for nothing")
    elif size is not None:
        pieces = _pieces(listed, size)
    if (digests or listed) and not any(map(_kind, (*digests, *listed))):
        raise UsageError("none of its digests is of a kind that can be computed here")
    return Item(urls[0], name, size, _digest(digests), number, tuple(urls[1:MOST_URLS]), pieces)


def _urls(file: Any) -> tuple[list[str], int]:
    """The best first, and how many cannot be fetched."""
    # The stable sort keeps the order of those that are as good.
    found = [(_number(url.get("priority"), _LAST), url) for url in _below(file, "url")]
    found += [(-_number(url.get("preference"), 0), url) for url in _below(file, "resources/url")]
    found.sort(key=lambda pair: pair[0])
    usable = [_text(url) for _, url in found if _can_be_fetched(url)]
    return list(dict.fromkeys(usable)), len(found) - len(usable)


def _can_be_fetched(url: Any) -> bool:
    text = _text(url)
    if (url.get("type") or "http") not in ("http", "https") or not text.isprintable():
        return False  # in version 3 also of what describes the file: torrents
    try:
        return check_url(text).scheme in ("http", "https")
    except UsageError:
        return False


def _number(text: str | None, default: int) -> int:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else default


def _size(file: Any) -> int | None:
    text = next((_text(size) for size in _below(file, "size")), "")
    if not text:
        return None
    size = _number(text, -1)
    if size < 0:
        raise UsageError("its size is no number of bytes")
    return size


def _kind(element: Any) -> str:
    """The algorithm of a digest, as we call it; empty for one that is not known."""
    name = (element.get("type") or "").strip().lower().replace("-", "")
    return name if name in ALGORITHMS and is_known(name) else ""


def _strongest(elements: list[Any]) -> Any:
    known = [element for element in elements if _kind(element)]
    return min(known, key=lambda element: ALGORITHMS.index(_kind(element)), default=None)


def _digest(elements: list[Any]) -> Checksum | None:
    best = _strongest(elements)
    return None if best is None else Checksum.parse(f"{_kind(best)}:{_text(best)}")


def _pieces(elements: list[Any], size: int) -> Pieces | None:
    best = _strongest(elements)
    if best is None or not size:
        return None
    hashes = list(_below(best, "hash"))
    # Version 3 numbers them.
    hashes.sort(key=lambda element: _number(element.get("piece"), 0))
    length = _number(best.get("length"), 0)
    return Pieces.of(_kind(best), length, size, [_text(element) for element in hashes])
