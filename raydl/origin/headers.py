"""What HTTP headers say: pure parsing, nothing assumed."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from datetime import timezone

_CONTENT_RANGE = re.compile(
    r"bytes (?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)", re.IGNORECASE | re.ASCII
)

_NUMBER = re.compile(r"\b(r|t|remaining|reset)\s*=\s*([0-9]{1,9})\b", re.ASCII)

_OPAQUE = re.compile(r'"[\x21\x23-\x7e\x80-\xff]+"')

STRONG_AGE = 60.0
"""Seconds."""

LEAST_TIME = 1e9
"""More seconds than that are no pause but a time: it was in 2001."""

Headers = Mapping[str, str]


def parse_content_range(header: str | None) -> tuple[int | None, int | None, int | None] | None:
    """``bytes 0-9/100`` as (0, 9, 100); ``*`` is None; None for anything else.

    RFC 9110, section 14.4; a last position before the first, or not below the total, is
    invalid there and here.
    """
    match = _CONTENT_RANGE.fullmatch((header or "").strip())
    if match is None:
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    total = None if match[3] == "*" else int(match[3])
    if first is not None and last is not None:
        if last < first or (total is not None and last >= total):
            return None
    elif total is None:
        return None
    return first, last, total


def parse_retry_after(header: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date (RFC 9110, section 10.2.3)."""
    if not header:
        return None
    text = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    when = _time(text)
    return None if when is None else max(0.0, when - time.time())


def wait_asked(headers: Headers) -> float | None:
    """Seconds that an answer which refuses asks to wait, None where it does not say.

    From Retry-After, or from what many hosts send in its place: the RateLimit fields of
    draft-ietf-httpapi-ratelimit-headers in their several forms, and X-RateLimit-Reset, which is
    a number of seconds or a time since 1970.
    """
    asked = parse_retry_after(headers.get("Retry-After"))
    if asked is not None:
        return asked
    # The one that leaves nothing; an item is `"name";r=0;t=30`, or was `limit=9, remaining=0,
    # reset=30` in earlier drafts.
    items = [headers.get("RateLimit", "")]
    if not re.search(r"\breset\s*=", items[0]):
        items = items[0].split(",")
    waits = []
    for item in items:
        fields = dict(_NUMBER.findall(item))
        left, wait = (
            fields.get(a) or fields.get(b) for a, b in (("r", "remaining"), ("t", "reset"))
        )
        if wait is not None and (left is None or int(left) == 0):
            waits.append(float(wait))
    if waits:
        return max(waits)
    for prefix in ("RateLimit", "X-RateLimit", "X-Rate-Limit"):
        left = headers.get(f"{prefix}-Remaining", "0").strip()
        wait = headers.get(f"{prefix}-Reset", "").strip()
        if re.fullmatch(r"0{1,9}", left) and re.fullmatch(r"[0-9]{1,12}", wait):
            seconds = float(wait)
            return max(0.0, seconds - time.time()) if seconds > LEAST_TIME else seconds
    return None


def strong_etag(header: str | None) -> str | None:
    """The ETag when it is a strong one that says something, else None (RFC 9110, section 8.8.3)."""
    text = (header or "").strip()
    return text if _OPAQUE.fullmatch(text) else None


def weak_etag(header: str | None) -> str | None:
    """The opaque part of an ETag, weak or strong: what weak comparison compares.

    RFC 9110, section 8.8.3.2. None where there is no ETag or it says nothing.
    """
    return strong_etag((header or "").strip().removeprefix("W/"))


def last_modified(headers: Headers) -> str | None:
    """Last-Modified as it stands, None where it is absent or no plain text."""
    text = headers.get("Last-Modified", "").strip()
    return text if re.fullmatch(r"[\x20-\x7e]{1,60}", text) else None


def is_strong_date(headers: Headers) -> bool:
    """Whether Last-Modified proves a version: it is 60 seconds older than Date at least.

    RFC 9110, section 8.8.2.2: a later one may be followed by another change in the same second,
    and the clocks of a file system and of a server may differ.
    """
    modified, now = (_time(headers.get(name, "")) for name in ("Last-Modified", "Date"))
    return modified is not None and now is not None and now - modified >= STRONG_AGE


def media_type(headers: Headers) -> str:
    """The Content-Type without parameters, empty where there is none that makes sense."""
    text = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return text if re.fullmatch(r"[\w!#$&^.+-]{1,60}/[\w!#$&^.+-]{1,60}", text, re.ASCII) else ""


def content_coding(headers: Headers) -> str:
    """The Content-Encoding, empty where there is none."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        return ""
    return coding if re.fullmatch(r"[\w, -]{1,40}", coding, re.ASCII) else "an unknown"


def content_length(headers: Headers) -> int | None:
    """The Content-Length, None where it is absent, malformed or void (RFC 9112, section 6.3).

    One number several times is that number (RFC 9110, section 8.6).
    """
    numbers = {text.strip() for text in headers.get("Content-Length", "").split(",")}
    text = numbers.pop() if len(numbers) == 1 else ""
    is_void = "Transfer-Encoding" in headers
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) and not is_void else None


def _time(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date."""
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    # Without a zone it is UTC (RFC 5322, section 3.3).
    return (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp()
