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
from typing import Any, TypedDict

from raydl.model.digests import ALGORITHMS, Checksum
from raydl.model.errors import UsageError
from raydl.settings import values
from raydl.settings.values import MAX_PART_SIZE, Header

if sys.version_info >= (3, 12):
    from typing import Unpack
else:
    from typing_extensions import Unpack

__all__ = ["OptionKeywords", "Options", "Unpack"]

HEADINGS = {
    "what": "Files and verification",
    "where": "Destination",
    "speed": "Speed and nodes",
    "access": "Access to the origin",
    "look": "Display and reports",
}
"""Under these `--help` shows the options: by what an option is about."""

IN_BYTES = ("part_size", "max_memory", "limit_rate", "lowest_speed")
"""Options whose values people read better as sizes."""


def _option(
    default: Any,
    help: str,
    parse: Callable[[Any], Any],
    metavar: str = "",
    *,
    short: str = "",
    secret: bool = False,
    many: bool = False,
    of: str = "where",
    tuning: bool = False,
) -> Any:
    """``secret`` values are never shown; ``many`` may be given more than once; ``of`` is what the
    option is about, one of HEADINGS; ``tuning`` is of how fast,
    with how much of what, and how that is shown, and no stranger could use it to have anything
    sent, overwritten or trusted."""
    metadata = {
        "help": help, "parse": parse, "metavar": metavar,
        "short": short, "secret": secret, "many": many, "of": of, "tuning": tuning,
    }  # fmt: skip
    return field(default=default, metadata=metadata, repr=not secret)


def _what(*args: Any, **kwargs: Any) -> Any:
    return _option(*args, **kwargs, of="what")


def _tuning(*args: Any, of: str = "speed", **kwargs: Any) -> Any:
    return _option(*args, **kwargs, of=of, tuning=True)


def _access(*args: Any, **kwargs: Any) -> Any:
    return _option(*args, **kwargs, of="access")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to download. Sizes are bytes, durations seconds; text such as ``64MiB`` is accepted.

    Use ``Options.of(...)`` to create one from text, numbers or both: it parses and checks them.
    """

    parts: int | None = _tuning(
        None,
        "Divide the file into this many parts [default: by size and fleet].",
        values.count(1, 10**9),
        "N",
    )
    part_size: int = _tuning(
        8 << 20,
        "No part is larger than this; at most 64MiB.",
        values.size(1, MAX_PART_SIZE),
        "SIZE",
    )
    connections: int | None = _tuning(
        None,
        "Connections to the origin, per node [default: by measuring].",
        values.count(1, 256),
        "N",
    )
    max_memory: int = _tuning(
        256 << 20,
        "Bytes in flight or waiting for their turn, at most; half of it in this process.",
        values.size(1 << 20),
        "SIZE",
    )
    address: str = _option(
        "auto",
        "The Ray cluster: auto, none, local, HOST:PORT or ray://HOST:PORT.",
        lambda value: str(value).strip(),
        "ADDRESS",
        of="speed",
    )
    fetch_here: bool = _option(True, "Let this machine fetch parts too.", values.flag, of="speed")
    to: str = _option(
        "here",
        "Where the bytes go: here, every-node (the file at -o PATH on each node), or shared (a "
        "directory that all nodes see: each writes there).",
        values.place,
        "PLACE",
    )
    nodes: tuple[tuple[str, str], ...] = _option(
        (),
        "With --to every-node: only nodes with this label of Ray's; may be given again.",
        values.labels,
        "KEY=VALUE",
        many=True,
    )
    fetch_nodes: tuple[tuple[str, str], ...] = _option(
        (),
        "Let only nodes with this label fetch from the origin; may be given again.",
        values.labels,
        "KEY=VALUE",
        many=True,
        of="speed",
    )
    extract: bool = _what(
        False,
        "Unpack the archive while it comes, tar (plain, gz, bz2, xz, zst) or zip: -o is the "
        "directory, which appears when all is whole [default: the archive's name].",
        values.flag,
    )
    checksum: Checksum | None = _what(
        None,
        f"Verify against this digest: {', '.join(ALGORITHMS)}.",
        values.checksum,
        "ALG:HEX",
    )
    checksum_url: str | None = _what(
        None,
        "Verify against the list of digests there (SHA256SUMS style).",
        values.url,
        "URL",
        secret=True,
    )
    checksum_file: str | None = _what(
        None, "Verify against the list of digests in this file.", values.text, "FILE"
    )
    origin_digest: bool = _what(
        True, "Verify against the digest that the origin states, if it does.", values.flag
    )
    keep_bad: bool = _option(False, "Keep what fails the verification, as NAME.bad.", values.flag)
    overwrite: bool = _option(False, "Replace the target if it exists.", values.flag)
    skip_existing: bool = _option(
        False,
        "Succeed at once if the target exists, with the checksum if one is given.",
        values.flag,
    )
    verify: bool = _what(
        False, "With --to every-node: read files that are there, and compare digests.", values.flag
    )
    repair: bool = _what(
        False,
        "Of a Metalink's files that are there, fetch the bad pieces; other bytes are kept.",
        values.flag,
    )
    resume: bool = _option(True, "Go on from an interrupted download.", values.flag)
    retries: int = _tuning(
        8, "Tries after the first for a part that makes no progress.", values.count(0, 10**6), "N"
    )
    limit_rate: int | None = _tuning(
        None, "Bytes a second, at most, of all nodes together.", values.rate, "SIZE"
    )
    max_connections_per_origin: int | None = _tuning(
        None, "Connections, at most, of all nodes together.", values.count(1, 10**6), "N"
    )
    lowest_speed: int | None = _tuning(
        None, "Give a connection up that is slower, in bytes a second, for 5s.", values.rate, "SIZE"
    )
    output_dir: str | None = _option(
        None,
        "Save into this directory, under the name that -o gives, or the origin's.",
        values.text,
        "DIR",
    )
    timeout: float = _tuning(
        30.0, "Longest wait for a connection, and for the next byte.", values.timeout, "TIME"
    )
    progress: str = _tuning(
        "auto",
        "auto, bar, plain, json (events as NDJSON) or none.",
        values.style,
        "STYLE",
        of="look",
    )

    mirror: tuple[str, ...] = _what(
        (),
        "Another URL of the same file; may be given again.",
        values.urls,
        "URL",
        secret=True,
        many=True,
    )
    origin_mirrors: bool = _what(
        True,
        "Fetch from mirrors that the origin names, too, where a digest will show what is right.",
        values.flag,
    )
    header: tuple[Header, ...] = _access(
        (),
        "Send this header, or those in a file; may be given again. Private ones stay with the "
        "origin's host.",
        values.headers,
        "'NAME: VALUE'|@FILE",
        short="-H",
        secret=True,
        many=True,
    )
    user: str | None = _access(
        None, "User and password for the origin.", values.credentials, "USER:PASSWORD", secret=True
    )
    bearer_env: str | None = _access(
        None, "Send the token in this environment variable.", values.text, "VARIABLE"
    )
    netrc: str = _access(
        "~/.netrc", "Where passwords for hosts are kept; none for nowhere.", values.text, "FILE"
    )
    cookies: str | None = _access(
        None, "Send the cookies in this file (Netscape's format).", values.text, "FILE"
    )
    location_trusted: bool = _access(
        False, "Send credentials wherever the origin redirects to.", values.flag
    )
    user_agent: str | None = _access(
        None, "Call ourselves so [default: raydl/VERSION].", values.secret, "TEXT"
    )
    cacert: str | None = _access(
        None, "Trust these certificates (PEM) instead of the system's.", values.text, "FILE"
    )
    cert: str | None = _access(
        None, "The client's certificate (PEM), with its key or beside --key.", values.text, "FILE"
    )
    key: str | None = _access(None, "The key of --cert (PEM).", values.text, "FILE")
    insecure: bool = _access(False, "Do not check certificates.", values.flag)
    proxy: str | None = _access(
        None,
        "Ask through this proxy; none for no proxy [default: what the environment says].",
        values.proxy,
        "URL",
        secret=True,
    )

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise UsageError("--overwrite and --skip-existing contradict each other", "give one")
        if self.repair and self.skip_existing:
            raise UsageError("--repair and --skip-existing contradict each other", "give one")
        if sum(v is not None for v in (self.checksum, self.checksum_url, self.checksum_file)) > 1:
            raise UsageError(
                "there is more than one checksum",
                "give one of --checksum, --checksum-url and --checksum-file",
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Options:
        """Options from text or numbers, every value parsed and checked.

        Raises UsageError, which names the option for a bad value, and the nearest valid name for an
        unknown one.
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
    to: str
    nodes: str | Sequence[str] | Mapping[str, str]
    fetch_nodes: str | Sequence[str] | Mapping[str, str]
    extract: bool
    checksum: str | Checksum | None
    checksum_url: str | None
    checksum_file: str | None
    origin_digest: bool
    keep_bad: bool
    overwrite: bool
    skip_existing: bool
    verify: bool
    repair: bool
    resume: bool
    retries: int
    limit_rate: int | str | None
    max_connections_per_origin: int | None
    lowest_speed: int | str | None
    output_dir: str | None
    timeout: float | str
    progress: str
    mirror: str | Sequence[str]
    origin_mirrors: bool
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
        message = error.message
        if repr(value) in message and re.search("://|@", str(value)):
            message = "it is no URL that is wanted here"  # which may hold a secret
        raise UsageError(f"{where}{label or name}: {message}", error.hint) from None


def describe_options(indent: str = "") -> str:
    """A line for each option: name, default and help."""
    return "\n".join(
        f"{indent}{name}={field.default!r}: {field.metadata['help']}"
        for name, field in option_fields().items()
    )
