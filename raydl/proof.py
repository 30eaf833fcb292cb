"""Which digest the file must have: given, published beside it, or stated by the origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from raydl.checksum import Checksum, Proof
from raydl.errors import UsageError
from raydl.models import Remote, redact
from raydl.options import Options

LARGEST_LIST = 4 << 20
"""Bytes; a list of digests is text for people."""

_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_TAGGED = re.compile(r"(\w[\w-]*) \((.+)\) = ([0-9a-fA-F]+)")
_PLAIN = re.compile(r"\\?([0-9a-fA-F]{32,128})(?:\s+\*?(.+))?")

GetText = Callable[[str, int], str]


def proof_of(remote: Remote, options: Options, get_text: GetText) -> Proof | None:
    """The digest that the file is held against, and where it comes from.

    ``get_text`` fetches the text at a URL, up to so many bytes. Raises UsageError where a list of
    digests has none for the file, and what ``get_text`` raises.
    """
    if options.checksum is not None:
        return Proof(options.checksum, "given")
    if options.checksum_file is not None:
        where = options.checksum_file
        return Proof(find_digest(_read(where), _names(remote), where), where)
    if options.checksum_url is not None:
        where = redact(options.checksum_url)
        text = get_text(options.checksum_url, LARGEST_LIST)
        return Proof(find_digest(text, _names(remote), where), where)
    return remote.digest if options.origin_digest else None


def find_digest(text: str, names: list[str], where: str) -> Checksum:
    """The digest of the first of ``names`` that the list ``text`` has.

    A list is what sha256sum and its kin write, tagged (BSD) or not; the algorithm of untagged
    ones is told by their length. A list of one digest without a name is for any file. Raises
    UsageError.
    """
    found = list(_entries(text))
    for name in names:
        for listed, checksum in found:
            if listed.rpartition("/")[2] == name:
                return checksum
    if len(found) == 1 and not found[0][0]:
        return found[0][1]
    raise UsageError(
        f"{where} has no digest of {names[0]}", f"it has {len(found)} digests of other files"
    )


def _entries(text: str) -> Iterator[tuple[str, Checksum]]:
    for line in text.splitlines():
        tagged, plain = _TAGGED.fullmatch(line.strip()), _PLAIN.fullmatch(line.strip())
        try:
            if tagged:
                yield tagged[2], Checksum.parse(f"{tagged[1]}:{tagged[3]}")
            elif plain and len(plain[1]) in _BY_LENGTH:
                yield plain[2] or "", Checksum(_BY_LENGTH[len(plain[1])], plain[1].lower())
        except UsageError:
            continue


def _names(remote: Remote) -> list[str]:
    """What a list may call the file: as the URL does, or as the origin suggests."""
    last = unquote(urlsplit(remote.url).path).rpartition("/")[2]
    return list(dict.fromkeys(filter(None, (last, remote.name))))


def _read(file: str) -> str:
    try:
        with Path(file).expanduser().open("rb") as stream:
            return stream.read(LARGEST_LIST).decode(errors="replace")
    except OSError as error:
        raise UsageError(f"checksum-file: {file} cannot be read: {error.strerror}") from None
