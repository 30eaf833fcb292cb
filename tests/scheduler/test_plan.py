import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl.model.coverage import Coverage
from raydl.model.parts import Part, Plan
from raydl.scheduler.plan import (
    FIRST_PART,
    PART_SECONDS,
    SMALLEST_PART,
    cut_up,
    make_plan,
    part_size,
)

sizes = st.one_of(st.integers(0, 300), st.integers(0, 1 << 45))


@given(
    size=sizes,
    there=st.lists(st.tuples(sizes, sizes), max_size=4),
    parts=st.none() | st.integers(1, 1000),
    largest=st.integers(1, 64 << 20),
    window=st.integers(1 << 20, 1 << 32),
    data=st.data(),
)
def test_parts_cover_the_file_exactly_once_in_order_and_within_bounds(
    size, there, parts, largest, window, data
):
    kept = Coverage((min(at, size), min(at + more, size)) for at, more in there)
    plan = make_plan(size, kept=kept, parts=parts, part_size=largest, window=window)
    span = size - kept.size
    assert plan.span == span
    if span == 0:
        assert plan.count == 0
        return
    if parts is not None:
        assert plan.count >= min(parts, span)
    at, cuts, covered = plan.start, 0, Coverage(kept)
    while at < size and cuts < 300:
        part = plan.cut(cuts, at, data.draw(st.integers(1, 1 << 40)) if cuts < 20 else 1 << 40)
        assert part.start == at
        assert covered.size + part.size == Coverage([*covered, part[1:]]).size, "no byte twice"
        covered.add(*part[1:])
        assert 0 < part.size <= min(largest, plan.largest)
        if plan.count is None:
            assert part.number == cuts
        else:
            before = covered.size - kept.size - part.size
            first = plan.span * part.number // plan.count
            assert first <= before < plan.span * (part.number + 1) // plan.count
        at, cuts = plan.after(part.stop), cuts + 1
    assert at == size or cuts == 300


def begin(plan, part):
    """The first byte of a part."""
    return plan.start + (plan.size - plan.start) * part // plan.count


@given(
    span=st.integers(1, 10**6),
    count=st.integers(1, 10**5),
    wish=st.integers(1, 10**6),
    at=st.floats(0, 1, exclude_max=True),
)
def test_requests_are_runs_of_parts_or_pieces_of_one(span, count, wish, at):
    plan = Plan(Coverage([(0, 7)]), 7 + span, 10**6, min(count, span))
    first = int(at * plan.count)
    part = plan.cut(0, begin(plan, first), wish)
    assert part.number == first
    end = begin(plan, first + 1)
    if part.stop < end:
        assert part.size == wish
        assert end - part.start > 1.5 * wish
    elif part.stop > end:
        assert part.size <= wish
        after = -(-(part.stop - plan.start) * plan.count // span)
        assert part.stop == begin(plan, after)
        assert after == plan.count or begin(plan, after + 1) - part.start > wish


def plan(size, **changes):
    defaults = {"parts": None, "part_size": 16 << 20, "window": 128 << 20}
    return make_plan(size, **{**defaults, **changes})


def test_as_many_parts_as_asked_for():
    assert plan(100, parts=7).count == 7
    assert plan(64 << 20, parts=4).count == 4
    assert plan(64 << 20, parts=4).note == ""


def test_a_large_file_gets_more_parts_and_a_line_says_so():
    made = plan(1 << 30, parts=4)
    assert made.count == 64
    assert made.note == "64 parts instead of 4: a part is at most 16 MiB (--part-size)"


def test_no_part_is_larger_than_half_the_window():
    made = plan(64 << 20, parts=1, part_size=64 << 20, window=8 << 20)
    assert made.part_size == 4 << 20
    assert made.largest == 1 << 20
    assert made.note.endswith("a part is at most 4 MiB (--max-memory)")


def test_fewer_bytes_than_parts():
    made = plan(3, parts=10)
    assert made.count == 3
    assert "instead of 10" in made.note
    assert plan(1, parts=10).note.startswith("1 part instead of 10: ")
    assert plan(0, parts=10).count == 0


def test_very_small_parts_are_told_of():
    made = plan(30 << 20, parts=100_000)
    assert made.count == 100_000
    assert made.note == "100000 parts of 314 B: so small that many are asked for at once"
    assert made.cut(0, 0, 1 << 20).size > (1 << 20) - 315


def test_without_a_wish_parts_are_cut_as_it_goes():
    assert plan(1000).count is None
    assert plan(1 << 30).largest == 16 << 20
    assert plan(1 << 30, window=8 << 20).largest == 1 << 20
    assert plan(1 << 30).cut(3, 100, 50) == (3, 100, 150)


GB = 10**9


def size(lane, fleet=None, lanes=4, window=256 << 20, left=1000 * GB):
    return part_size(lane, fleet or lane * lanes, lanes, window=window, left=left)


def test_a_part_takes_a_lane_about_a_second():
    for speed in (1e5, 1e6, 2e6, 3e6, 7e6):
        assert 0.7 < size(speed) / (speed * PART_SECONDS) < 1.42


def test_a_slow_lane_gets_a_smaller_part_so_that_all_take_the_same_time():
    fast, slow = size(8e6, 35e6), size(1e6, 35e6)
    assert fast == 8 * slow


def test_parts_shrink_with_the_window_the_lanes_and_what_is_left():
    assert size(100e6, lanes=64) <= 1.42 * (256 << 20) / (2 * 64)
    assert size(1e6, fleet=10 * GB, window=64 << 20) == SMALLEST_PART
    assert size(8e6, left=GB // 100) < size(8e6) / 2
    assert size(8e6, left=1) >= 8e6 * 0.2 / 2


def test_the_first_part_of_all():
    assert part_size(0.0, 0.0, 4, window=256 << 20, left=GB) == FIRST_PART


def test_a_tebibyte_is_planned_in_constant_memory():
    made = plan(1 << 40)
    assert made.cut(131_071, (1 << 40) - 5, 1 << 23).stop == 1 << 40
    fixed = plan(1 << 40, parts=200_000, part_size=64 << 20)
    assert fixed.cut(0, (1 << 40) - 5, 1 << 23) == (199_999, (1 << 40) - 5, 1 << 40)


@given(
    size=st.integers(1, 1 << 20),
    parts=st.none() | st.integers(1, 50),
    grid=st.integers(1 << 12, 1 << 18),
    wish=st.integers(1 << 10, 1 << 20),
)
def test_no_part_is_on_both_sides_of_a_line_of_the_grid(size, parts, grid, wish):
    plan = make_plan(size, parts=parts, part_size=64 << 20, window=1 << 30, grid=grid)
    at = cuts = 0
    while at < size:
        part = plan.cut(cuts, at, wish)
        assert part.start == at < part.stop
        assert part.start // grid == (part.stop - 1) // grid
        at, cuts = part.stop, cuts + 1
    assert at == size


@pytest.mark.parametrize("unit", [7, 100, 1000])
@pytest.mark.parametrize("wish", [1, 99, 250, 5000])
def test_parts_are_whole_units(unit, wish):
    kept = Coverage([(2 * unit, 3 * unit)])
    plan = make_plan(10_003, kept=kept, parts=3, part_size=300, window=10**6, unit=unit)
    assert plan.note.startswith("not 3 parts: each is whole pieces of")
    start, seen = plan.start, Coverage(kept)
    while start < plan.size:
        part = plan.cut(0, start, wish)
        assert part.start % unit == 0
        assert part.stop % unit == 0 or part.stop == plan.size
        assert part.size <= max(300, unit)
        seen.add(part.start, part.stop)
        start = plan.after(part.stop)
    assert seen.size == 10_003


@pytest.mark.parametrize(
    ("start", "stop", "most", "unit", "cuts"),
    [
        (100, 350, 100, 1, [200, 300, 350]),
        (100, 350, 400, 1, [350]),
        (100, 350, 100, 80, [160, 240, 320, 350]),
        (0, 350, 100, 150, [150, 300, 350]),
    ],
)
def test_a_part_that_is_too_large_is_cut_up(start, stop, most, unit, cuts):
    parts = list(cut_up(Part(7, start, stop), most, unit))
    assert [part.stop for part in parts] == cuts
    assert [part.start for part in parts] == [start, *cuts[:-1]]
    assert {part.number for part in parts} == {7}
