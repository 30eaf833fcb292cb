"""The values of options: from what people and programs write to what is meant, or a UsageError."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from raydl.model.digests import Checksum
from raydl.model.errors import UsageError
from raydl.model.units import format_size, parse_duration, parse_size
from raydl.model.weburl import check_url, is_host
from raydl.settings.textfile import read_text

MAX_PART_SIZE = 64 << 20
LONGEST_TIMEOUT = 24 * 3600.0
EVERY_NODE, SHARED = "every-node", "shared"
PLACES = ("here", EVERY_NODE, SHARED)
PROGRESS_STYLES = ("auto", "bar", "plain", "json", "none")


def flag(value: Any) -> bool:
    """True or false, as people write it."""
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise UsageError(f"{value!r} is neither true nor false")


def count(least: int, most: int) -> Callable[[Any], int]:
    """A parser of whole numbers within bounds."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", str(value).strip()):
            raise UsageError(f"{value!r} is not a whole number from {least} to {most}")
        number = int(value)
        if not least <= number <= most:
            raise UsageError(f"{number} is out of bounds", f"from {least} to {most}")
        return number

    return parse


def size(least: int, most: int | None = None) -> Callable[[Any], int]:
    """A parser of sizes in bytes within bounds."""

    def parse(value: Any) -> int:
        number = parse_size(value)
        if number < least or (most is not None and number > most):
            bounds = f"from {format_size(least)}" + (f" to {format_size(most)}" if most else " on")
            raise UsageError(f"{value!r} is out of bounds", bounds)
        return number

    return parse


def rate(value: Any) -> int:
    """Bytes a second; a ``/s`` at the end may be there."""
    text = value.strip().removesuffix("/s") if isinstance(value, str) else value
    return size(1)(text)


def timeout(value: Any) -> float:
    """Seconds, up to a day."""
    seconds = parse_duration(value)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError(f"{value!r} is out of bounds", "more than 0s, at most 24h")
    return seconds


def style(value: Any) -> str:
    """One of ``PROGRESS_STYLES``."""
    if value not in PROGRESS_STYLES:
        raise UsageError(f"{value!r} is no progress style", _one_of(value, PROGRESS_STYLES))
    return str(value)


def place(value: Any) -> str:
    """One of ``PLACES``."""
    if value not in PLACES:
        raise UsageError(f"{value!r} is no place for the bytes", _one_of(value, PLACES))
    return str(value)


def _one_of(value: Any, words: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(value).lower(), words, n=1)
    return f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"


def labels(value: Any) -> tuple[tuple[str, str], ...]:
    """``key=value``, one or several with spaces between, or a mapping: labels of Ray's nodes."""
    pairs = value.items() if isinstance(value, Mapping) else ()
    texts = () if isinstance(value, Mapping) else value
    if isinstance(texts, str):
        texts = texts.split() or [texts]
    found = [(str(key), str(label)) for key, label in pairs]
    for item in texts:
        key, sign, label = item.partition("=") if isinstance(item, str) else (item[0], "=", item[1])
        if not (key and sign):
            hint = "KEY=VALUE, as `raydl nodes` shows them"
            if str(item).isdecimal():
                hint += "; how many nodes take part is no option: all do"
            raise UsageError(f"{item!r} is no label", hint)
        found.append((key, label))
    return tuple(found)


def checksum(value: Any) -> Checksum:
    """A Checksum, from its text."""
    return value if isinstance(value, Checksum) else Checksum.parse(str(value))


def text(value: Any) -> str:
    """Text that can be shown."""
    text = str(value).strip()
    if not text or not text.isprintable():
        raise UsageError("this is no text" if text else "it is empty")
    return text


def secret(value: Any) -> str:
    """Text that must not be shown: errors do not repeat it."""
    text = str(value)
    if not text or not text.isprintable():
        raise UsageError("it is empty, or has characters that no header can have")
    return text


def credentials(value: Any) -> str:
    """A user and a password with a colon between; errors do not repeat them."""
    text = secret(value)
    if ":" not in text:
        raise UsageError("there is no colon in it", "USER:PASSWORD, or USER: without a password")
    return text


Header = tuple[str, str]

OUR_HEADERS = ("range", "if-range", "accept-encoding", "connection", "content-length",
               "transfer-encoding")  # fmt: skip
"""What raydl says itself: another value would ask for other bytes than it expects."""


def headers(value: Any) -> tuple[Header, ...]:
    """``Name: value`` lines, one or several, a file of them as ``@FILE``, or a mapping."""
    if isinstance(value, Mapping):
        return tuple(_header_lines(f"{name}: {content}" for name, content in value.items()))
    found: list[Header] = []
    for line in value.splitlines() if isinstance(value, str) else value:
        if not isinstance(line, str):
            found += _header_lines([": ".join(line)])
        elif line.startswith("@"):  # which names no further files: it might name itself
            found += _header_lines(read_text(line[1:]).splitlines())
        else:
            found += _header_lines([line])
    return tuple(found)


def _header_lines(lines: Iterable[str]) -> Iterator[Header]:
    for line in filter(str.strip, lines):
        name, colon, content = line.partition(":")
        if not colon:
            raise UsageError("a header has no colon in it", "write 'Name: value' or @FILE")
        yield _header(name.strip(), content.strip())


def _header(name: str, content: str) -> Header:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 9110, section 5.6.2
        raise UsageError("a header's name has characters that it cannot have")
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", content):
        raise UsageError(f"the value of {name} has characters that no header can have")
    if name.lower() in OUR_HEADERS:
        raise UsageError(f"{name} is raydl's own to say")
    return name, content


def url(value: Any) -> str:
    """An http or https URL; it may hold a secret."""
    text = secret(value).strip()
    check_url(text)
    return text


def urls(value: Any) -> tuple[str, ...]:
    """Several, from lines or a list."""
    lines = value.split() if isinstance(value, str) else value
    return tuple(url(line) for line in lines)


def proxy(value: Any) -> str:
    """The URL of a proxy, or ``none``."""
    text = secret(value).strip()
    if text == "none":
        return text
    has_scheme = "://" in text
    if not has_scheme:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        # A word alone may be anything: that it is a host, the port has to say.
        fits = is_host(parts.hostname or "") and (has_scheme if parts.port is None else parts.port)
    except ValueError:
        fits = False
    if not fits or parts.scheme not in ("http", "https", "socks5", "socks5h"):
        raise UsageError("this is no proxy", "write http://HOST:PORT, or none")
    if parts.scheme.startswith("socks") and find_spec("socks") is None:
        raise UsageError("a SOCKS proxy needs a library", "pip install 'requests[socks]'")
    return text
