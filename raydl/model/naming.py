"""A file name from what the origin says: always a plain name, never a path."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import unquote_to_bytes

from raydl.model.weburl import path_of

LONGEST_ENDING = ".part.journal~"
"""Of the names of what lies beside a file until it is whole."""

MAX_NAME_BYTES = 255 - len("__" + LONGEST_ENDING)
FALLBACK = "download"

LARGEST_HEADER = 8 << 10
"""Characters of a Content-Disposition; a longer one is no name."""

_ARCHIVE = re.compile(r"(.+?)\.(tar(\.\w{1,4})?|t[gx]z|tbz2?|tzst|zip)", re.IGNORECASE)

_OBEYED = re.compile(r"raydl\.toml|.*(\.part(\.journal~?)?)", re.IGNORECASE)
"""Names that raydl itself would obey the next time that it runs there."""

_PARAMETER = re.compile(
    r""";\s* ([!#$%&'*+.^_`|~0-9A-Za-z-]+) \s*=\s* (?: "((?:[^"\\]|\\.)*)" | ([^;]*) )""",
    re.VERBOSE,
)

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_name(content_disposition: str | None, url: str) -> str:
    """The name to save under: Content-Disposition (RFC 6266), else the URL's last segment."""
    candidates = (_disposition_name(content_disposition), path_of(url))
    for candidate in candidates:
        name = plain_name(candidate)
        if name:
            return name
    return FALLBACK


def is_obeyed(name: str) -> bool:
    """Whether raydl itself would obey a file of that name."""
    return bool(_OBEYED.fullmatch(name)) or name.startswith(".raydl")


def plain_name(text: str) -> str:
    """``text`` reduced to a name that cannot leave its directory; empty if nothing is left."""
    name = re.split(r"[/\\]", text)[-1]
    name = "".join(c for c in name if c.isprintable() and c not in '<>:"|?*').strip(" .")
    if len(name.encode()) > MAX_NAME_BYTES:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) < 16 else ""
        room = MAX_NAME_BYTES - len(ending.encode())
        name = name.encode()[:room].decode(errors="ignore") + ending
    obeyed = _OBEYED.fullmatch(name)
    if obeyed and obeyed[1]:
        name += "_"
    # A name that begins with a dash is taken for an option when it follows a command.
    if _DEVICES.fullmatch(name) or name.startswith("-") or (obeyed and not obeyed[1]):
        name = f"_{name}"
    return name


def unpacked_name(name: str) -> str:
    """What the directory is called into which an archive of that name is unpacked."""
    found = _ARCHIVE.fullmatch(name)
    return plain_name(found[1] if found else name) or FALLBACK


def _disposition_name(header: str | None) -> str:
    """The ``filename*`` of a Content-Disposition, else its ``filename`` (RFC 6266, section 4.3)."""
    if not header or len(header) > LARGEST_HEADER:
        return ""
    # http.client hands headers over as latin-1; many servers send UTF-8 all the same.
    with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
        header = header.encode("latin-1").decode("utf-8")
    found: dict[str, str] = {}
    for name, quoted, token in _PARAMETER.findall(header):
        # Just these two escapes are undone: some servers send paths of Windows as they are.
        value = re.sub(r'\\([\\"])', r"\1", quoted) or token.strip()
        found.setdefault(name.lower(), value)
    return _extended(found.get("filename*", "")) or found.get("filename", "")


def _extended(value: str) -> str:
    """``UTF-8''na%C3%AFve.txt`` decoded (RFC 8187, section 3.2); empty if it cannot be."""
    charset, _, rest = value.partition("'")
    _, quote, text = rest.partition("'")
    if not quote or charset.lower() not in ("utf-8", "iso-8859-1"):
        return ""
    try:
        return unquote_to_bytes(text).decode(charset)
    except UnicodeDecodeError:
        return ""
