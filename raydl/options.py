"""The options of a download, defined once: CLI flags, configuration keys and keywords.

``Options`` is the definition: name, type, unit, default and help text. The CLI's flags and
the configuration's keys are generated from it; ``OptionKeywords`` gives the keyword arguments
of the Python API their types, and a test holds the two together.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypedDict
from urllib.parse import urlsplit

from raydl.checksum import Checksum
from raydl.errors import UsageError
from raydl.units import format_size, parse_duration, parse_size

if sys.version_info >= (3, 12):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["OptionKeywords", "Options", "Unpack"]

MAX_PART_SIZE = 64 << 20
LONGEST_TIMEOUT = 24 * 3600.0
PROGRESS_STYLES = ("auto", "bar", "plain", "json", "none")


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise UsageError(f"{value!r} is neither true nor false")


def _count(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,18}", str(value).strip()):
            raise UsageError(f"{value!r} is not a whole number from {least} to {most}")
        number = int(value)
        if not least <= number <= most:
            raise UsageError(f"{number} is out of bounds", f"from {least} to {most}")
        return number

    return parse


def _size(least: int, most: int | None = None) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        number = parse_size(value)
        if number < least or (most is not None and number > most):
            bounds = f"from {format_size(least)}" + (f" to {format_size(most)}" if most else " on")
            raise UsageError(f"{value!r} is out of bounds", bounds)
        return number

    return parse


def _rate(value: Any) -> int:
    text = value.strip().removesuffix("/s") if isinstance(value, str) else value
    return _size(1)(text)


def _timeout(value: Any) -> float:
    seconds = parse_duration(value)
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError(f"{value!r} is out of bounds", "more than 0s, at most 24h")
    return seconds


def _style(value: Any) -> str:
    if value not in PROGRESS_STYLES:
        raise UsageError(f"{value!r} is no progress style", f"one of {', '.join(PROGRESS_STYLES)}")
    return str(value)


def _checksum(value: Any) -> Checksum:
    return value if isinstance(value, Checksum) else Checksum.parse(str(value))


def _text(value: Any) -> str:
    text = str(value).strip()
    if not text or not text.isprintable():
        raise UsageError("this is no text" if text else "it is empty")
    return text


def _secret(value: Any) -> str:
    # Errors must not repeat it.
    text = str(value)
    if not text or not text.isprintable():
        raise UsageError("it is empty, or has characters that no header can have")
    return text


Header = tuple[str, str]

OUR_HEADERS = ("range", "if-range", "accept-encoding", "connection", "content-length",
               "transfer-encoding")  # fmt: skip
"""What raydl says itself: another value would ask for other bytes than it expects."""


def _headers(value: Any) -> tuple[Header, ...]:
    """``Name: value`` lines, one or several, a file of them as ``@FILE``, or a mapping."""
    if isinstance(value, Mapping):
        value = [f"{name}: {content}" for name, content in value.items()]
    lines = value.splitlines() if isinstance(value, str) else list(value)
    found: list[Header] = []
    for line in lines:
        if not isinstance(line, str):
            found.append(_header(*line))
        elif line.startswith("@"):
            found += _headers(_read_lines(line[1:]))
        elif line.strip():
            name, colon, content = line.partition(":")
            if not colon:
                raise UsageError("a header has no colon in it", "write 'Name: value' or @FILE")
            found.append(_header(name.strip(), content.strip()))
    return tuple(found)


def _header(name: str, content: str) -> Header:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 9110, section 5.6.2
        raise UsageError("a header's name has characters that it cannot have")
    if not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", content):
        raise UsageError(f"the value of {name} has characters that no header can have")
    if name.lower() in OUR_HEADERS:
        raise UsageError(f"{name} is raydl's own to say")
    return name, content


def _read_lines(file: str) -> list[str]:
    try:
        return [line for line in Path(file).expanduser().read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{file} cannot be read: {why}") from None


def _url(value: Any) -> str:
    text = _secret(value).strip()
    if not re.match(r"https?://[^/]", text):
        raise UsageError("this is not a URL that can be fetched", "write https://host/path")
    return text


def _urls(value: Any) -> tuple[str, ...]:
    lines = value.split() if isinstance(value, str) else value
    return tuple(_url(line) for line in lines)


def _proxy(value: Any) -> str:
    text = _secret(value).strip()
    if text == "none":
        return text
    if "://" not in text:
        text = f"http://{text}"
    try:
        parts = urlsplit(text)
        fits = bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.scheme not in ("http", "https", "socks5", "socks5h"):
        raise UsageError("this is no proxy", "write http://HOST:PORT, or none")
    return text


def _option(
    default: Any,
    help: str,
    parse: Callable[[Any], Any],
    metavar: str = "",
    *,
    short: str = "",
    secret: bool = False,
    many: bool = False,
    of: str = "download",
) -> Any:
    """``secret`` values are never shown; ``many`` may be given more than once; ``of`` is what the
    option is about: the ``download``, or the ``access`` to the origin."""
    metadata = {
        "help": help, "parse": parse, "metavar": metavar,
        "short": short, "secret": secret, "many": many, "of": of,
    }  # fmt: skip
    return field(default=default, metadata=metadata, repr=not secret)


def _access(*args: Any, **kwargs: Any) -> Any:
    return _option(*args, **kwargs, of="access")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to download. Sizes are bytes, durations seconds; text such as ``64MiB`` is accepted.

    Use ``Options.of(...)`` to make one from text, numbers or both: it parses and checks.
    """

    parts: int | None = _option(
        None,
        "Divide the file into this many parts [default: by size and fleet].",
        _count(1, 10**9),
        "N",
    )
    part_size: int = _option(
        8 << 20, "No part is larger than this; at most 64MiB.", _size(1, MAX_PART_SIZE), "SIZE"
    )
    connections: int | None = _option(
        None,
        "Connections to the origin, per node [default: by measuring, from 4 on].",
        _count(1, 256),
        "N",
    )
    max_memory: int = _option(
        256 << 20,
        "Bytes in flight or waiting for their turn, at most; half of it in this process.",
        _size(1 << 20),
        "SIZE",
    )
    address: str = _option(
        "auto",
        "The Ray cluster: auto, none, local, HOST:PORT or ray://HOST:PORT.",
        lambda value: str(value).strip(),
        "ADDRESS",
    )
    fetch_here: bool = _option(True, "Let this machine fetch parts too.", _flag)
    checksum: Checksum | None = _option(
        None,
        "Verify against this digest: sha256, sha512, sha1, md5 or blake2b.",
        _checksum,
        "ALG:HEX",
    )
    checksum_url: str | None = _option(
        None,
        "Verify against the list of digests there (SHA256SUMS style).",
        _url,
        "URL",
        secret=True,
    )
    checksum_file: str | None = _option(
        None, "Verify against the list of digests in this file.", _text, "FILE"
    )
    origin_digest: bool = _option(
        True, "Verify against the digest that the origin states, if it does.", _flag
    )
    keep_bad: bool = _option(False, "Keep what fails the verification, as NAME.bad.", _flag)
    overwrite: bool = _option(False, "Replace the target if it exists.", _flag)
    skip_existing: bool = _option(False, "Succeed at once if the target exists.", _flag)
    resume: bool = _option(True, "Go on from an interrupted download.", _flag)
    retries: int = _option(
        8, "Tries after the first for a part that makes no progress.", _count(0, 10**6), "N"
    )
    limit_rate: int | None = _option(
        None, "Bytes a second, at most, of all nodes together.", _rate, "SIZE"
    )
    max_connections_per_origin: int | None = _option(
        None, "Connections, at most, of all nodes together.", _count(1, 10**6), "N"
    )
    lowest_speed: int | None = _option(
        None, "Give a connection up that is slower, in bytes a second, for 5s.", _rate, "SIZE"
    )
    output_dir: str | None = _option(
        None, "Save into this directory, under the origin's name.", _text, "DIR"
    )
    timeout: float = _option(
        30.0, "Longest wait for a connection, and for the next byte.", _timeout, "TIME"
    )
    progress: str = _option(
        "auto", "auto, bar, plain, json (events as NDJSON) or none.", _style, "STYLE"
    )

    mirror: tuple[str, ...] = _option(
        (),
        "Another URL of the same file; may be given again.",
        _urls,
        "URL",
        secret=True,
        many=True,
    )
    header: tuple[Header, ...] = _access(
        (),
        "Send this header, or those in a file; may be given again. Private ones stay with the "
        "origin's host.",
        _headers,
        "'NAME: VALUE'|@FILE",
        short="-H",
        secret=True,
        many=True,
    )
    user: str | None = _access(
        None, "User and password for the origin.", _secret, "USER:PASSWORD", secret=True
    )
    bearer_env: str | None = _access(
        None, "Send the token in this environment variable.", _text, "VARIABLE"
    )
    netrc: str = _access(
        "~/.netrc", "Where passwords for hosts are kept; none for nowhere.", _text, "FILE"
    )
    cookies: str | None = _access(
        None, "Send the cookies in this file (Netscape's format).", _text, "FILE"
    )
    location_trusted: bool = _access(
        False, "Send credentials wherever the origin redirects to.", _flag
    )
    user_agent: str | None = _access(
        None, "Call ourselves so [default: raydl/VERSION].", _secret, "TEXT"
    )
    cacert: str | None = _access(
        None, "Trust these certificates (PEM) instead of the system's.", _text, "FILE"
    )
    cert: str | None = _access(
        None, "The client's certificate (PEM), with its key or beside --key.", _text, "FILE"
    )
    key: str | None = _access(None, "The key of --cert (PEM).", _text, "FILE")
    insecure: bool = _access(False, "Do not check certificates.", _flag)
    proxy: str | None = _access(
        None,
        "Ask through this proxy; none for no proxy [default: what the environment says].",
        _proxy,
        "URL",
        secret=True,
    )

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise UsageError("overwrite and skip-existing contradict each other", "give one")
        if sum(v is not None for v in (self.checksum, self.checksum_url, self.checksum_file)) > 1:
            raise UsageError("there is more than one checksum", "give one")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Options:
        """Options from text or numbers, every value parsed and checked.

        Raises UsageError that names the option for a bad value, and the nearest right name for
        an unknown one.
        """
        return cls(**{name: parse_option(name, value) for name, value in values.items()})


class OptionKeywords(TypedDict, total=False):
    """The keyword arguments of ``raydl.fetch`` and its kin: see ``Options`` for each."""

    parts: int | None
    part_size: int | str
    connections: int | None
    max_memory: int | str
    address: str
    fetch_here: bool
    checksum: str | Checksum | None
    checksum_url: str | None
    checksum_file: str | None
    origin_digest: bool
    keep_bad: bool
    overwrite: bool
    skip_existing: bool
    resume: bool
    retries: int
    limit_rate: int | str | None
    max_connections_per_origin: int | None
    lowest_speed: int | str | None
    output_dir: str | None
    timeout: float | str
    progress: str
    mirror: str | Sequence[str]
    header: str | Sequence[str] | Sequence[Header] | Mapping[str, str]
    user: str | None
    bearer_env: str | None
    netrc: str
    cookies: str | None
    location_trusted: bool
    user_agent: str | None
    cacert: str | None
    cert: str | None
    key: str | None
    insecure: bool
    proxy: str | None


def option_fields() -> dict[str, Field[Any]]:
    """Name to dataclass field; its metadata has ``help``, ``parse`` and ``metavar``."""
    return {f.name: f for f in fields(Options)}


def parse_option(name: str, value: Any, label: str = "", where: str = "") -> Any:
    """One option's value, parsed and checked; an error calls it ``label``, and ``where`` it is."""
    known = option_fields()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        raise UsageError(f"{where}unknown option {name!r}", hint)
    option = known[name]
    if value is None and option.default is None:
        return None
    try:
        return option.metadata["parse"](value)
    except UsageError as error:
        raise UsageError(f"{where}{label or name}: {error.message}", error.hint) from None


def describe_options(indent: str = "") -> str:
    """A line for each option: name, default and help."""
    return "\n".join(
        f"{indent}{name}={field.default!r}: {field.metadata['help']}"
        for name, field in option_fields().items()
    )
