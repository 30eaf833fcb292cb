"""Sizes and durations as people write them: ``64MiB``, ``10MB``, ``30s``; and back."""

from __future__ import annotations

import re

from raydl.model.errors import UsageError

_SIZE_UNITS = {"": 1, "b": 1}
for _power, _prefix in enumerate("kmgtp", start=1):
    _SIZE_UNITS[f"{_prefix}b"] = 1000**_power
    _SIZE_UNITS[f"{_prefix}ib"] = 1024**_power
    # A bare letter is binary, as in curl, aria2 and dd.
    _SIZE_UNITS[_prefix] = 1024**_power

_TIME_UNITS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "min": 60.0, "h": 3600.0}

_QUANTITY = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


def printable(text: str, but: str = "") -> str:
    """Text of others, for a terminal: what would control it is a replacement character, ``but``
    for these."""
    return "".join(c if c.isprintable() or c in but else "\ufffd" for c in text)


def parse_size(value: str | int) -> int:
    """Bytes from ``64MiB`` (1024), ``10MB`` (1000), ``64M`` (1024) or a plain number.

    Raises UsageError when the text is none of these.
    """
    number, unit = _split(value, "a size such as 64MiB or 10MB")
    if unit not in _SIZE_UNITS:
        raise UsageError(f"{value!r} is not a size", "write it as 64MiB, 10MB or a number of bytes")
    return int(number * _SIZE_UNITS[unit])


def parse_duration(value: str | float) -> float:
    """Seconds from ``30s``, ``500ms``, ``2m``, ``1h`` or a plain number.

    Raises UsageError when the text is none of these.
    """
    number, unit = _split(value, "a duration such as 30s")
    if unit not in _TIME_UNITS:
        raise UsageError(f"{value!r} is not a duration", "write it as 30s, 500ms, 2m or 1h")
    return number * _TIME_UNITS[unit]


def _split(value: str | float, wanted: str) -> tuple[float, str]:
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise UsageError(f"{value!r} is not {wanted}")
    return float(match[1]), match[2].lower()


def format_size(count: float) -> str:
    """``1536`` as ``1.5 KiB``: binary units, at most three digits before the point."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        count /= 1024
        if count < 1000 or unit == "PiB":
            digits = f"{count:.1f}".removesuffix(".0")
            return f"{digits} {unit}"
    raise AssertionError("unreachable")


def format_duration(seconds: float) -> str:
    """``83.2`` as ``1m23s``; under ten seconds with one decimal, under a tenth as ``40ms``."""
    if seconds < 0.1:
        return f"{max(1, round(1000 * seconds))}ms" if seconds > 0 else "0s"
    if seconds < 10:
        return f"{seconds:.1f}s"
    return format_age(round(seconds))


def format_age(seconds: float) -> str:
    """The same in whole seconds, for what goes on: ``0.4`` as ``0s``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def counted(number: int, noun: str, several: str = "") -> str:
    """``1 lane``, ``2 lanes``; ``several`` is for those that take no s."""
    return f"{number} {noun}" if number == 1 else f"{number} {several or noun + 's'}"


def files_of(number: int, total: int | None = None) -> str:
    """``3 of 10 files``; plain ``1 file`` where there is no other, and ``3 files`` where their
    number is not known."""
    of = "" if not total or number == total == 1 else f"{number:,} of "
    return f"{of}{(total or number):,} {'file' if (total or number) == 1 else 'files'}"
