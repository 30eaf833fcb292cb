"""From a size and the options to a plan, and from speeds to the size of a part: pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator

from raydl.model.coverage import Coverage
from raydl.model.parts import Part, Plan
from raydl.model.units import counted, format_size

FIRST_PART = 256 << 10
"""Bytes of a part while no speed is known: soon here, and then one is."""

SMALLEST_PART = 64 << 10

GROWTH = 4
"""A part is at most this many times as large as any before it from that node: what comes first
may come out of a buffer, much faster than what follows."""

PART_SECONDS = 1.0
"""A part takes about this long at most, so that little is lost with the connection, the node or
the process that fetches it."""

PARTS_A_SECOND = 1500
"""With so many lanes that parts of ``PART_SECONDS`` would be more than this, they get larger: each
costs a call to a node, of which one process makes a few thousand a second."""

TAIL_SECONDS = 0.2
"""Towards the end parts get smaller, down to what takes this long."""

SHARES = 2
"""In flight is at most one part in ``SHARES`` of the window: the rest is room for parts that wait
for a slower one."""

TAIL_SHARES = 3
"""And at most one part in ``TAIL_SHARES`` of what is left of the file, so that none ends late."""


def make_plan(
    size: int,
    *,
    kept: Coverage | None = None,
    parts: int | None,
    part_size: int,
    window: int,
    grid: int = 0,
    unit: int = 1,
) -> Plan:
    """Divide what is not ``kept`` of ``size`` bytes.

    ``parts`` is what the user asked for, if anything; ``part_size`` the upper bound and
    ``window`` the bytes that may be in flight at once. With ``parts`` given there are never
    fewer than that, unless there are fewer bytes. What one request is for follows what is measured
    in either case; with a ``grid``, none crosses a multiple of it, and with a ``unit`` each is for
    whole ones, however many parts that makes.
    """
    kept = kept or Coverage()
    span = kept.missing(size).size
    largest = min(part_size, largest_part(window))
    if unit > 1 and span:
        note = f"not {parts} parts: each is whole pieces of {format_size(unit)}" if parts else ""
        return Plan(kept, size, largest, None, note, grid, unit)
    if parts is None or span == 0:
        return Plan(kept, size, largest, None if span else 0, grid=grid)
    most = min(part_size, max(1, window // SHARES))
    fitting = -(-span // most)
    count = min(max(parts, fitting), span)
    note = ""
    if count > parts:
        note = (
            f"{counted(count, 'part')} instead of {parts}: "
            f"a part is at most {format_size(most)} "
            f"({'--part-size' if most == part_size else '--max-memory'})"
        )
    elif count < parts:
        note = f"{counted(count, 'part')} instead of {parts}: there are no more bytes than that"
    elif count > 1 and span // count < SMALLEST_PART:
        each = format_size(span // count)
        note = f"{count} parts of {each}: so small that many are asked for at once"
    return Plan(kept, size, largest, count, note, grid)


def largest_part(window: int) -> int:
    """Bytes of a part, at most, where a window of so many has room for several."""
    return max(1, window // (4 * SHARES))


def cut_up(part: Part, most: int, unit: int) -> Iterator[Part]:
    """Parts of up to ``most`` bytes of one that is too large; all but its end are whole units."""
    start = part.start
    while start < part.stop:
        stop = start + most - (start + most) % unit
        stop = min(stop if stop > start else start + unit, part.stop)
        yield part._replace(start=start, stop=stop)
        start = stop


def part_size(lane: float, fleet: float, lanes: int, *, window: int, left: int) -> int:
    """Bytes of the next part for a lane of ``lane`` bytes a second (0: unknown).

    ``fleet`` is the speed of all lanes together and ``lanes`` how many there may soon be. Every
    lane gets what takes it the same time, so that parts that start together end together,
    whatever the lanes' speeds.
    """
    if lane <= 0 or fleet <= 0:
        return FIRST_PART
    seconds = min(
        max(PART_SECONDS, lanes / PARTS_A_SECOND),
        window / (SHARES * fleet),
        max(TAIL_SECONDS, left / (TAIL_SHARES * fleet)),
    )
    size = max(1, int(min(lane * seconds, window / (SHARES * lanes))))
    # The nearest power of two, so that buffers of a few sizes serve again and again.
    return max(SMALLEST_PART, 1 << ((size * 181 // 128).bit_length() - 1))
