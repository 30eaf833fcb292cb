"""What people paste, type or drop to be fetched: URLs, repositories, lists. No Tk in here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from raydl.many.wanted import Wanted
from raydl.model.weburl import check_url
from raydl.settings.options import Options

HUB = "hf://"

LISTS = (".txt", ".jsonl", ".ndjson", ".csv", ".parquet")

_PLACE = re.compile(r"[/~]|\.{1,2}[/\\]|[A-Za-z]:[/\\]")
"""How a path begins that cannot be meant as a URL."""


def names_in(text: str) -> list[str]:
    """The names in a text, by lines and white space; a line that is a file's path is one."""
    found: list[str] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        path = _path_of(line)
        found += [path] if _is_file(path) or _PLACE.match(path) else map(_path_of, line.split())
    return found


def checked(names: Sequence[str]) -> list[str]:
    """The names, with whole paths of lists. Raises UsageError for what is nothing of the kind."""
    from raydl.many.hub import Repository

    found = []
    for name in names:
        if is_list(name):
            found.append(str(Path(name).expanduser().absolute()))
            continue
        if name.startswith(HUB):
            Repository.parse(name)
        else:
            check_url(name)
        found.append(name)
    return found


def is_list(name: str) -> bool:
    """Whether it is meant as the path of a list."""
    if "://" in name:
        return False
    is_bare = PurePath(name).name == name and PurePath(name).suffix.lower() in LISTS
    return is_bare or bool(_PLACE.match(name)) or _is_file(name)


def is_many(names: Sequence[str]) -> bool:
    """Whether it is more than one URL."""
    return len(names) > 1 or any(map(is_listed, names))


def is_listed(name: str) -> bool:
    """Whether several files may be meant by it."""
    return name.startswith(HUB) or is_list(name)


def wanted(names: Sequence[str]) -> Wanted:
    """What is to be fetched."""
    sorted_out: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        sorted_out[is_list(name)].append(name)
    return Wanted(sorted_out[False], sorted_out[True])


def look_through(
    names: Sequence[str], target: str, options: dict[str, Any], template: str
) -> tuple[list[str], int | None]:
    """The names, ``checked``, and how many files that is; None where a hub must be asked.

    Reads the lists. Raises UsageError for what is wrong with it.
    """
    from raydl.many.run import check_options

    names = checked(names)
    # A repository's cache is where it is, on each node.
    check_options(Options.of({**options, "output_dir": target or str(Path.home())}))
    files = wanted(names).extent(template or None).files
    return names, None if any(name.startswith(HUB) for name in names) else files


def shown(name: str) -> str:
    """A short one for a list or a repository."""
    return PurePath(name).name if is_list(name) else name.removeprefix(HUB)


def _path_of(text: str) -> str:
    """A path for what file managers call file:///path."""
    if not text.startswith("file://"):
        return text
    return url2pathname(urlsplit(text).path)


def _is_file(name: str) -> bool:
    try:
        return "://" not in name and Path(name).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):  # too long, say, or no such user
        return False
