"""Mirrors that an origin names in its headers (RFC 6249): pure parsing, nothing believed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urljoin

from raydl.model.errors import UsageError
from raydl.model.weburl import check_url

MOST = 4
"""Of those that are named, the best."""

LONGEST = 32 << 10
"""Characters of a header that are looked at."""

_LAST = 999_999

_LINK = re.compile(r"<([^<>\"\s]{1,2048})>((?:\s*;\s*[\w*-]+\s*=\s*(?:\"[^\"]*\"|[^\s\",;<]+))*)")
_PARAMETER = re.compile(r";\s*([\w*-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s\",;<]+))")


def named_mirrors(answers: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[str, ...]:
    """Where else the file is, by the URL and headers of each answer on the way to it; the best
    first. Nothing without TLS where an answer came with it."""
    found: list[tuple[int, str]] = []
    schemes: tuple[str, ...] = ("http", "https")
    for url, headers in answers:
        if url.startswith("https:"):
            schemes = ("https",)
        for target, parameters in _LINK.findall(headers.get("Link", "")[:LONGEST]):
            values = {name.lower(): a or b for name, a, b in _PARAMETER.findall(parameters)}
            if "duplicate" in values.get("rel", "").lower().split():
                found.append((_priority(values.get("pri", "")), _absolute(url, target)))
    found.sort(key=lambda pair: pair[0])
    usable = dict.fromkeys(url for _, url in found if _scheme(url) in schemes)
    return tuple(usable)[:MOST]


def _absolute(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


def _priority(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]{1,6}", text) else _LAST


def _scheme(url: str) -> str:
    try:
        parts = check_url(url)
    except UsageError:
        return ""
    return "" if parts.username or parts.password else parts.scheme
