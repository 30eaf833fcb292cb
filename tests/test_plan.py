from hypothesis import given
from hypothesis import strategies as st

from raydl.plan import make_plan

sizes = st.one_of(st.integers(0, 300), st.integers(0, 1 << 45))


@given(
    size=sizes,
    start=sizes,
    parts=st.none() | st.integers(1, 1000),
    part_size=st.integers(1, 64 << 20),
    window=st.integers(1 << 20, 1 << 32),
    lanes=st.integers(1, 512),
)
def test_parts_cover_the_file_exactly_once_in_order_and_within_bounds(
    size, start, parts, part_size, window, lanes
):
    start = min(start, size)
    plan = make_plan(
        size, start=start, parts=parts, part_size=part_size, window=window, lanes=lanes
    )
    span = size - start
    if parts is not None and span:
        assert plan.count >= min(parts, span)
    indexes = range(plan.count) if plan.count <= 2000 else [0, 1, 999, plan.count - 1]
    before = None
    for index in indexes:
        part = plan.part(index)
        assert part.number == index
        assert 0 < part.size <= min(part_size, plan.part_size)
        if index == 0:
            assert part.start == start
        elif before is not None and before.number == index - 1:
            assert part.start == before.stop
        if index == plan.count - 1:
            assert part.stop == size
        before = part
    assert (plan.count == 0) == (span == 0)


def plan(size, **changes):
    defaults = {"parts": None, "part_size": 16 << 20, "window": 128 << 20, "lanes": 4}
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
    assert made.note.endswith("a part is at most 4 MiB (--max-memory)")


def test_fewer_bytes_than_parts():
    made = plan(3, parts=10)
    assert made.count == 3
    assert "instead of 10" in made.note
    assert plan(1, parts=10).count == 1
    assert plan(0, parts=10).count == 0


def test_without_a_wish_size_and_lanes_decide():
    assert plan(1000).count == 1
    assert plan(32 << 20).part_size == 2 << 20
    assert plan(1 << 30).part_size == 16 << 20
    # Sixteen lanes share the window: smaller parts, so that twice as many fit.
    assert plan(1 << 30, lanes=16).part_size == 4 << 20
