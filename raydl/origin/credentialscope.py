"""What a URL may be shown: the one rule for redirects, mirrors and lists of digests."""

from __future__ import annotations

from dataclasses import replace

from raydl.model.remote import Access
from raydl.model.weburl import split

HARMLESS = ("accept", "accept-language", "referer", "user-agent")
"""Headers that are nobody's secret."""

_PORTS = {"http": 80, "https": 443}


def shown(access: Access, owner: str, url: str) -> Access:
    """The part of ``access``, which was given for the URL ``owner``, that ``url`` may be shown.

    All of it on the same origin; elsewhere what is harmless, and no client certificate. The table
    is in docs/http.md.
    """
    if access.trusts_redirects or url == owner or is_same_origin(owner, url):
        return access
    headers = tuple(pair for pair in access.headers if pair[0].lower() in HARMLESS)
    return replace(access, headers=headers, certificate=None)


def is_same_origin(url: str, other: str) -> bool:
    """Whether both have one scheme, host and port (RFC 6454, section 4); in stores, one bucket.

    Or ``other`` is the same host's https where ``url`` is its http, both at their usual ports.
    """
    one, two = _origin(url), _origin(other)
    host = one[1]
    return one == two or (one == ("http", host, 80) and two == ("https", host, 443))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = split(url)
    scheme = parts.scheme.lower()
    return scheme, parts.hostname, parts.port or _PORTS.get(scheme)
