"""A file name from what the origin says: always a plain name, never a path."""

from __future__ import annotations

import contextlib
import re
from email.message import Message
from urllib.parse import unquote, urlsplit

MAX_NAME_BYTES = 255
FALLBACK = "download"

_NOT_FROM_ORIGINS = ("raydl.toml",)
"""Names that raydl itself would obey the next time that it runs there."""

_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_name(content_disposition: str | None, url: str) -> str:
    """The name to save under: Content-Disposition (RFC 6266), else the URL's last segment."""
    candidates = (_disposition_name(content_disposition), unquote(urlsplit(url).path))
    for candidate in candidates:
        name = plain_name(candidate)
        if name:
            return name
    return FALLBACK


def plain_name(text: str) -> str:
    """``text`` reduced to a name that cannot leave its directory; empty if nothing is left."""
    name = re.split(r"[/\\]", text)[-1]
    name = "".join(c for c in name if c.isprintable() and c not in '<>:"|?*').strip(" .")
    if _DEVICES.fullmatch(name) or name.lower() in _NOT_FROM_ORIGINS:
        name = f"_{name}"
    if len(name.encode()) > MAX_NAME_BYTES - len(".part.journal"):
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) < 16 else ""
        room = MAX_NAME_BYTES - len(".part.journal") - len(ending.encode())
        name = name.encode()[:room].decode(errors="ignore") + ending
    return name


def _disposition_name(header: str | None) -> str:
    if not header:
        return ""
    message = Message()
    # http.client hands headers over as latin-1; many servers send UTF-8 all the same.
    with contextlib.suppress(UnicodeEncodeError, UnicodeDecodeError):
        header = header.encode("latin-1").decode("utf-8")
    message["Content-Disposition"] = header.replace("\r", " ").replace("\n", " ")
    try:
        return message.get_filename() or ""
    except (TypeError, ValueError, LookupError):
        # The email package breaks on some parameters that make no sense, such as a `*` beside
        # a `*0`; fuzzing found it.
        return ""
