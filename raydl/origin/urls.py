"""URLs that can be fetched."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit, urlunsplit

from raydl.errors import UsageError


def _is_host(name: str) -> bool:
    """Whether this can be a host: an address, or labels that DNS can have."""
    if ":" in name:
        return True  # urlsplit has checked that it is an IPv6 address
    try:
        labels = name.rstrip(".").encode("idna").split(b".")
    except UnicodeError:
        return False
    return all(re.fullmatch(rb"[\w-]{1,63}", label) for label in labels)


def split_auth(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without its userinfo, and that userinfo as (user, password).

    Raises UsageError when it is no absolute http or https URL.
    """
    try:
        parts = urlsplit(url.strip())
        host_fits = parts.port != 0 and _is_host(parts.hostname or "")
    except ValueError:
        parts, host_fits = None, False
    if parts is None or not host_fits:
        raise UsageError("this is not a URL that can be fetched", "write https://host/path")
    if parts.scheme.lower() not in ("http", "https"):
        raise UsageError(f"{parts.scheme}: URLs are not supported", "write http:// or https://")
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, (unquote(user), unquote(password))
