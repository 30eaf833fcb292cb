"""The options of a download, defined once: CLI flags, configuration keys and keywords.

``Options`` is the definition: name, type, unit, default and help text. The CLI's flags and
the configuration's keys are generated from it; ``OptionKeywords`` gives the keyword arguments
of the Python API their types, and a test holds the two together.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypedDict

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


def _option(default: Any, help: str, parse: Callable[[Any], Any], metavar: str = "") -> Any:
    return field(default=default, metadata={"help": help, "parse": parse, "metavar": metavar})


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
    overwrite: bool = _option(False, "Replace the target if it exists.", _flag)
    skip_existing: bool = _option(False, "Succeed at once if the target exists.", _flag)
    resume: bool = _option(True, "Go on from an interrupted download.", _flag)
    retries: int = _option(
        8, "Tries after the first for a part that makes no progress.", _count(0, 10**6), "N"
    )
    timeout: float = _option(
        30.0, "Longest wait for a connection, and for the next byte.", _timeout, "TIME"
    )
    progress: str = _option(
        "auto", "auto, bar, plain, json (events as NDJSON) or none.", _style, "STYLE"
    )

    def __post_init__(self) -> None:
        if self.overwrite and self.skip_existing:
            raise UsageError("overwrite and skip-existing contradict each other", "give one")

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
    overwrite: bool
    skip_existing: bool
    resume: bool
    retries: int
    timeout: float | str
    progress: str


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
