"""From a size and the options to parts: pure arithmetic."""

from __future__ import annotations

from raydl.models import Plan
from raydl.units import format_size

MIN_AUTO_PART = 1 << 20
"""Smaller parts than 1 MiB cost more in requests than they bring in balance (measured on
loopback: parts of 1 MiB take twice the CPU a byte of parts of 4 MiB and more)."""

PARTS_A_LANE = 4
"""Without --parts, every lane gets at least this many parts where the file allows it, so that
a slow lane holds up the end by a quarter of its share at most."""


def make_plan(
    size: int, *, start: int = 0, parts: int | None, part_size: int, window: int, lanes: int
) -> Plan:
    """Divide bytes ``[start, size)``.

    ``parts`` is what the user asked for, if anything; ``part_size`` the upper bound; ``window``
    the bytes that may be in flight at once and ``lanes`` the lanes known at the start. With
    ``parts`` given there are never fewer than that, unless there are fewer bytes.
    """
    span = size - start
    if span == 0:
        return Plan(start, size, 0)
    if parts is not None:
        largest = min(part_size, max(1, window // 2))
        fitting = -(-span // largest)
        count = min(max(parts, fitting), span)
        note = ""
        if count > parts:
            note = (
                f"{count} parts instead of {parts}: "
                f"a part is at most {format_size(largest)} "
                f"({'--part-size' if largest == part_size else '--max-memory'})"
            )
        elif count < parts:
            note = f"{count} parts instead of {parts}: there are no more bytes than that"
        return Plan(start, size, count, note)
    wanted = span // (lanes * PARTS_A_LANE)
    # Half the window in flight leaves the other half for parts that wait for a slower one.
    upper = max(1, min(part_size, window // (2 * lanes)))
    each = min(max(wanted, MIN_AUTO_PART), upper)
    return Plan(start, size, -(-span // each))
