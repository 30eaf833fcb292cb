"""Lists of files: a URL a line, tables, JSON lines, lists of digests. Read as they are needed."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import quote, urljoin

from raydl.many import metalink
from raydl.many.listings import Listed
from raydl.model.errors import RaydlError, UsageError
from raydl.model.item import FIELDS, Item
from raydl.model.units import format_size
from raydl.model.weburl import check_url, is_many, is_store, redact, split
from raydl.origin.proof import listed_in

LONGEST_LINE = 64 << 10
"""Bytes. A longer one is no line of a list."""

STANDARD_INPUT = "-"


class Unreadable(NamedTuple):
    """A line that names no file, and why."""

    number: int
    why: RaydlError


Entry = Item | Unreadable

Look = Callable[[str], Listed]
"""Lists what a name stands for."""

Tell = Callable[[str], None]

Parse = Callable[[int, str], "Entry | None"]
"""What a line with that number names; None where it is none that counts."""


def entries(values: Iterable[object], look: Look | None = None) -> Iterator[Entry]:
    """The files that a program names, one after the other.

    ``look`` lists repositories and prefixes, and what it raises ends it all.
    """
    number = 0
    for value in values:
        for one in _expanded(entry(value, number + 1), look):
            number = one.number
            yield one


def _expanded(one: Entry, look: Look | None) -> Iterator[Entry]:
    """All files in place of a name that stands for many, with numbers from its own on."""
    if look is None or not isinstance(one, Item) or not is_many(one.url):
        yield one
    elif one.size is not None or one.digest is not None:
        why = UsageError(f"{redact(one.url)} is many files", "a size or digest is of one")
        yield Unreadable(one.number, why)
    else:
        yield from _all_in(one.url, one.path, one.number, look)


def _all_in(name: str, directory: str | None, number: int, look: Look) -> Iterator[Entry]:
    for place, file in enumerate(look(name).files, number):
        path = file.path if directory is None else f"{directory.rstrip('/')}/{file.path}"
        yield file.item(path, place)


def entry(value: object, number: int) -> Entry:
    """One of them."""
    try:
        return Item.of(value, number)
    except UsageError as error:
        return Unreadable(number, error)


def all_of(
    urls: Iterable[str],
    lists: Iterable[str],
    base: str | None,
    look: Look | None = None,
    tell: Tell = lambda _: None,
) -> Iterator[Entry]:
    """The URLs, and then the files of the lists, with one number after the other.

    ``tell`` gets what is to be said of the lists.
    """
    number = 0
    for one in (entries(urls, look), *(_with_all(read_list(n, base, tell), look) for n in lists)):
        last = number
        for entry in one:
            number = last + entry.number
            yield _numbered(entry, number)


def _numbered(entry: Entry, number: int) -> Entry:
    if isinstance(entry, Item):
        return replace(entry, number=number)
    return entry._replace(number=number)


def _with_all(listed: Iterable[Entry], look: Look | None) -> Iterator[Entry]:
    """A list with all files of its prefixes; one that cannot be listed is a line that failed."""
    more = 0
    for line in listed:
        number = line.number + more
        try:
            for one in _expanded(_numbered(line, number), look):
                more = one.number - line.number
                yield one
        except RaydlError as error:
            yield Unreadable(number, error)


def read_list(name: str, base: str | None = None, tell: Tell = lambda _: None) -> Iterator[Entry]:
    """The files that a list names, ``-`` for standard input. Raises UsageError.

    The ending says what it is: ``.jsonl``, ``.csv`` and ``.parquet`` have FIELDS, ``.meta4`` and
    ``.metalink`` are Metalinks, of which ``tell`` gets what is left out; in others a line is a URL,
    or URL, path and digest between tabs, and what begins with # is none. With a ``base`` it is a
    list of digests as sha256sum writes it, whose names are relative to that URL.
    """
    if base is not None:
        check_url(base)
        is_list = base.rpartition("/")[2] == Path(name).name
        base = base if base.endswith("/") or is_list else f"{base}/"
    if name == STANDARD_INPUT:
        yield from _lines(sys.stdin.buffer, _plain if base is None else _sums(base))
        return
    path = Path(name).expanduser()
    ending = path.suffix.lower()
    if base is None and ending == ".parquet":
        yield from _parquet(path)
        return
    if base is None and ending in metalink.ENDINGS:
        yield from _metalink(path, tell)
        return
    parse = _sums(base) if base is not None else _parser(ending)
    try:
        stream = path.open("rb")
    except OSError as error:
        hint = "save it here first, or pipe it in: -i -" if "://" in name else ""
        shown = redact(name) if hint else name
        raise UsageError(f"the list {shown} cannot be read: {error.strerror}", hint) from None
    with stream:
        yield from _lines(stream, parse)


def _lines(stream: BinaryIO, parse: Parse) -> Iterator[Entry]:
    """What each line names that is not empty; memory is bounded by LONGEST_LINE."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            yield _bad(number, f"it is longer than {format_size(LONGEST_LINE)}")
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            yield _bad(number, "it is no UTF-8")
            continue
        if any(ord(c) < 32 and c != "\t" for c in text):
            yield _bad(number, "it has control characters")
        elif text.strip() and (found := parse(number, text)) is not None:
            yield found


def _bad(number: int, why: str) -> Unreadable:
    return Unreadable(number, UsageError(f"line {number} names no file: {why}"))


def _parser(ending: str) -> Parse:
    """For lists whose names end like that."""
    if ending == ".csv":
        return _Table()
    return _json if ending in (".jsonl", ".ndjson") else _plain


def _plain(number: int, text: str) -> Entry | None:
    if text.lstrip().startswith("#"):
        return None
    found = entry(tuple(field.strip() for field in text.split("\t")), number)
    if isinstance(found, Unreadable) and any(listed.path for listed in listed_in(text)):
        raise UsageError(
            "the list has digests and names, as sha256sum writes them",
            "say where the files are: --base URL",
        )
    return found


def _json(number: int, text: str) -> Entry:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return _bad(number, "it is no JSON")
    if isinstance(value, str) or (isinstance(value, dict) and "url" in value):
        return entry(value, number)
    return _bad(number, "it has no url")


class _Table:
    """A table, whose first line names the columns; a field does not go over several lines."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def __call__(self, number: int, text: str) -> Entry | None:
        try:
            row = next(csv.reader([text], strict=True))
        except csv.Error as error:
            return _bad(number, str(error))
        if self._names:
            return entry(dict(zip(self._names, row, strict=False)), number)
        self._names = [name.strip().lower() for name in row]
        if "url" not in self._names:
            raise UsageError(
                f"the table has no column url, but {', '.join(self._names)[:100]}",
                f"its first line names the columns: {', '.join(FIELDS)}",
            )
        return None


def _sums(base: str) -> Parse:
    def parse(number: int, text: str) -> Entry | None:
        listed = list(listed_in(text))
        if len(listed) == 1 and listed[0].path:
            path = "/".join(listed[0].path)
            url = _at(base, path)
            return entry({"url": url, "path": path, "digest": listed[0].checksum}, number)
        if text.lstrip().startswith("#"):
            return None
        return _bad(number, "it has no digest and name")

    return parse


def _at(base: str, path: str) -> str:
    """What is there, relative to ``base``."""
    if not is_store(base):
        return urljoin(base, quote(path))
    parts = split(base)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/{path}"


def _metalink(path: Path, tell: Tell) -> Iterator[Entry]:
    found = metalink.load(path)
    for note in found.notes:
        tell(note)
    for number, file in enumerate(found.files, 1):
        yield file if isinstance(file, Item) else Unreadable(number, file)


def _parquet(path: Path) -> Iterator[Entry]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UsageError("lists in Parquet need a library", "pip install pyarrow") from None
    number = 0
    try:
        file = ParquetFile(path)
        names = {name.lower(): name for name in file.schema_arrow.names}
        if "url" not in names:
            raise UsageError(f"{path} has no column url", f"columns are {', '.join(FIELDS)}")
        columns = [names[name] for name in FIELDS if name in names]
        for batch in file.iter_batches(batch_size=4096, columns=columns):
            for row in batch.to_pylist():
                number += 1
                yield entry({name.lower(): value for name, value in row.items()}, number)
    except (OSError, ArrowException) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged"
        raise UsageError(f"the list {path} cannot be read: {why}") from None
