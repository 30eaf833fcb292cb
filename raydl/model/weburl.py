"""URLs that can be fetched, and what is wrong with others.

Names in object stores, ``s3://bucket/key``, look like URLs and are none: nothing in a key is
quoted, and ``?``, ``#``, ``%`` or a space at its end are characters of it. So only this module
takes them apart.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from raydl.model.errors import UsageError
from raydl.model.units import printable

STORES = ("s3", "gs", "az")
"""Schemes of names in object stores."""

SCHEMES = ("http", "https", *STORES)
"""What a name can begin with; ``origin/resolver`` has what it means."""

HUB = "hf://"
"""What a name of a hub's repository begins with."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
"""RFC 3986, section 3.1. What has another form may be a password."""

_HARMLESS = re.compile(r"https?://[\w.:-]+/[^@?#]*")
"""Nothing in it may be a secret: most URLs of a long list."""

_BUCKET = re.compile(r"[\w.$-]{1,255}", re.ASCII)

_EXAMPLE = "write https://host/path"


def is_store(name: object) -> bool:
    """Whether it names something in an object store."""
    scheme, found, _ = name.lstrip().partition("://") if isinstance(name, str) else ("", "", "")
    return bool(found) and scheme.lower() in STORES


def is_hub(name: object) -> bool:
    """Whether it names something of a hub."""
    return isinstance(name, str) and name.lstrip().startswith(HUB)


def is_many(name: object) -> bool:
    """Whether it stands for files to be listed: a repository, or what is below a prefix."""
    return is_hub(name) or (is_store(name) and str(name).endswith("/"))


def split(url: str) -> SplitResult:
    """The parts of a URL; a name in a store has a bucket for a host, and its key as it is."""
    if not is_store(url):
        return urlsplit(url)
    scheme, _, rest = url.lstrip().partition("://")
    bucket, slash, key = rest.partition("/")
    return SplitResult(scheme.lower(), bucket, slash + key, "", "")


def host_of(url: str) -> str:
    """The host of a URL, with its port where that is given, and nothing that may be a secret."""
    return split(url).netloc.rpartition("@")[2].lower()


def path_of(url: str) -> str:
    """The path of a URL, with nothing quoted in it."""
    path = split(url).path
    return path if is_store(url) else unquote(path)


def check_url(url: str) -> SplitResult:
    """The parts of an absolute URL with a scheme that can be fetched.

    Raises UsageError, which says what is wrong with it and shows it without its secrets.
    """
    if not isinstance(url, str):
        raise UsageError(f"a URL is a text, not {type(url).__name__}", _EXAMPLE)
    text = url.strip()
    if not text:
        raise UsageError("the URL is empty", _EXAMPLE)
    if not _SCHEME.match(text):
        raise _without_scheme(text)
    problem = _problem(text)
    if problem:
        scheme, _, rest = text.partition("://")
        near = difflib.get_close_matches(scheme.lower(), SCHEMES, n=1, cutoff=0.7)
        guess = f"{near[0]}://{rest}" if near else ""
        hint = _EXAMPLE if not near or _problem(guess) else f"did you mean {_shown(guess)}?"
        raise UsageError(f"{_shown(text)} cannot be fetched: {problem}", hint)
    return split(text)


def _without_scheme(text: str) -> UsageError:
    typed = re.match(r"(https?)(?::/*|//)", text, re.IGNORECASE)
    scheme, rest = (typed[1].lower(), text[typed.end() :]) if typed else ("https", text)
    if not typed and _is_path(text):
        here = "is a file here, and no URL" if _is_here(text) else "is a path, and no URL"
        return UsageError(f"{_shown(text)} {here}", _EXAMPLE)
    guess = f"{scheme}://{rest.lstrip('/')}"
    hint = _EXAMPLE if _problem(guess) else f"did you mean {_shown(guess)}?"
    return UsageError(f"{_shown(text)} has no scheme", hint)


def _is_path(text: str) -> bool:
    return text.startswith(("./", "../", "~/")) or _is_here(text)


def _is_here(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # what can be no path
        return False


def _problem(url: str) -> str:
    """Why this cannot be fetched; empty where it can be tried."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        return f"the scheme {printable(scheme)} is not supported, {', '.join(SCHEMES)} and hf are"
    if scheme in STORES:
        return "" if _BUCKET.fullmatch(split(url).netloc) else "it names no bucket"
    try:
        parts = urlsplit(url)
    except ValueError:
        return "its host is no address"
    if not parts.hostname:
        return "there is no host in it"
    if not is_host(parts.hostname):
        return "its host cannot be one"
    try:
        port_fits = parts.port != 0
    except ValueError:
        port_fits = False
    return "" if port_fits else "its port is no number from 1 to 65535"


def is_host(name: str) -> bool:
    """Whether this can be a host: an address, or labels that DNS can have."""
    if ":" in name:
        return True  # urlsplit has checked that it is an IPv6 address
    try:
        labels = name.rstrip(".").encode("idna").split(b".")
    except UnicodeError:
        return False
    return all(re.fullmatch(rb"[\w-]{1,63}", label) for label in labels)


def _shown(url: str) -> str:
    """A URL that may be malformed, without what may be secret in it.

    Where a password has a slash or a question mark in it, parsers take it for another part: so
    nothing before an @ is shown, wherever that is, and no port but one of digits.
    """
    head, tail = re.match(r"([^?#]*)(.*)", url, re.DOTALL).groups()  # type: ignore[union-attr]
    scheme = match[0] if (match := _SCHEME.match(head)) else ""
    if "@" in tail:
        return printable(f"{scheme}…")
    _, at, place = head[len(scheme) :].rpartition("@")
    place = re.sub(r"^([^/:\[]*:)(?![0-9]*(?:/|$))[^/]*", r"\1…", place)
    return printable(f"{scheme}{'…@' if at else ''}{place}{'?…' if tail else ''}")


def redact(url: str) -> str:
    """The URL without user, password, query and fragment: all that may hold a secret.

    Names in stores hold none.
    """
    if is_store(url):
        return printable(url) if not _problem(url) else "…"
    if _HARMLESS.fullmatch(url):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    if not parts.netloc:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))
