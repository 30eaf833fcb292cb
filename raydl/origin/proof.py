"""Which digest the file must have: given, published beside it, or stated by the origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from raydl.model.digests import ALGORITHMS, BY_LENGTH, FORGED_BY_NOBODY, Checksum, Proof
from raydl.model.errors import UsageError
from raydl.model.remote import Remote
from raydl.model.units import counted
from raydl.model.weburl import path_of, redact
from raydl.settings.options import Options

LARGEST_LIST = 4 << 20
"""Bytes; a list of digests is text for people."""

_TAGGED = re.compile(r"(\w[\w-]*) \((.+)\) = ([0-9a-fA-F]+)")
_PLAIN = re.compile(r"\\?([0-9a-fA-F]{32,128})(?:\s+\*?(.+))?")

GetText = Callable[[str, int], str]


class Listed(NamedTuple):
    """A line of a list: the file's path in pieces, none where it has no name."""

    path: tuple[str, ...]
    checksum: Checksum


def given_proof(options: Options) -> Proof | None:
    """The digest that the options name by itself, None where it is to be found elsewhere."""
    return None if options.checksum is None else Proof(options.checksum, "given")


def is_strong(proof: Proof | None) -> bool:
    """Whether nobody can make another file with that digest."""
    return proof is not None and proof.checksum.algorithm in FORGED_BY_NOBODY


def is_asked_for(options: Options) -> bool:
    """Whether the user wants a digest compared, wherever it stands."""
    return bool(options.checksum or options.checksum_file or options.checksum_url)


def proof_of(
    remote: Remote, options: Options, get_text: GetText, listed: str | None = None
) -> Proof | None:
    """The digest that the file is held against, and where it comes from.

    ``get_text`` fetches the text at a URL, up to a number of bytes; ``listed`` is what
    ``read_list`` brought. Raises UsageError where a list of digests has none for the file, or
    several, and what ``get_text`` raises.
    """
    if options.checksum_file is not None:
        where = options.checksum_file
        return Proof(find_digest(listed or "", _names(remote), where), where)
    if options.checksum_url is not None:
        where = redact(options.checksum_url)
        text = get_text(options.checksum_url, LARGEST_LIST)
        return Proof(find_digest(text, _names(remote), where), where)
    return given_proof(options) or (remote.digest if options.origin_digest else None)


def read_list(options: Options) -> str | None:
    """The text of the list that is a file, None without one. Raises UsageError."""
    file = options.checksum_file
    if file is None:
        return None
    try:
        with Path(file).expanduser().open("rb") as stream:
            return stream.read(LARGEST_LIST).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"--checksum-file: {file} cannot be read: {error.strerror}") from None


def find_digest(text: str, names: list[str], where: str) -> Checksum:
    """The strongest digest that the list ``text`` has of a file with one of these ``names``.

    A name may be a path: ``a/f`` in the list is another file than ``b/f``, so the line that fits
    most of the path counts, and one that fits its end alone where there is no other. A list is
    what sha256sum and its kin write, tagged (BSD) or not; the algorithm of untagged ones follows
    from their length. A list of one digest without a name is for any file. Raises UsageError.
    """
    listed = list(listed_in(text))
    ways = [fits(listed, name) for fits in (_fitting, _namesakes) for name in names]
    if found := next(filter(None, ways), None):
        return _strongest(found, names[0], where)
    if len(listed) == 1 and not listed[0].path:
        return listed[0].checksum
    if not listed:
        raise UsageError(
            f"{where} is no list of digests: it has none",
            "sha256sum writes lines such as HEX  NAME",
        )
    others = f"{counted(len(listed), 'digest')} of other files"
    raise UsageError(f"{where} has no digest of {names[0]}", f"it has {others}")


def _fitting(listed: list[Listed], name: str) -> list[Listed]:
    """The lines whose whole path fits the end of ``name``, those that fit most of it."""
    pieces = _pieces(name)
    fit = [one for one in listed if one.path and pieces[-len(one.path) :] == one.path]
    longest = max((len(one.path) for one in fit), default=0)
    return [one for one in fit if len(one.path) == longest]


def _namesakes(listed: list[Listed], name: str) -> list[Listed]:
    """The lines of files that lie elsewhere and have the same name."""
    return [one for one in listed if one.path and one.path[-1:] == _pieces(name)[-1:]]


def _strongest(listed: list[Listed], name: str, where: str) -> Checksum:
    """The one digest by the strongest algorithm, of what must be one file."""
    algorithm = min((one.checksum.algorithm for one in listed), key=ALGORITHMS.index)
    best = [one for one in listed if one.checksum.algorithm == algorithm]
    if len({one.checksum for one in best}) > 1 or {b.path for b in best} != {
        o.path for o in listed
    }:
        raise UsageError(
            f"{where} has several digests of {name.rpartition('/')[2]}",
            "give the right one with --checksum",
        )
    return best[0].checksum


def _pieces(path: str) -> tuple[str, ...]:
    return tuple(piece for piece in path.split("/") if piece not in ("", "."))


def listed_in(text: str) -> Iterator[Listed]:
    """What is on the lines of a list of digests."""
    for line in text.splitlines():
        tagged, plain = _TAGGED.fullmatch(line.strip()), _PLAIN.fullmatch(line.strip())
        try:
            if tagged:
                yield Listed(_pieces(tagged[2]), Checksum.parse(f"{tagged[1]}:{tagged[3]}"))
            elif plain and len(plain[1]) in BY_LENGTH:
                checksum = Checksum(BY_LENGTH[len(plain[1])], plain[1].lower())
                yield Listed(_pieces(plain[2] or ""), checksum)
        except UsageError:
            continue


def _names(remote: Remote) -> list[str]:
    """What a list may call the file: as the URL does, with its path, or as the origin suggests."""
    path = path_of(remote.url).strip("/")
    return list(dict.fromkeys(filter(None, (path, remote.name))))
