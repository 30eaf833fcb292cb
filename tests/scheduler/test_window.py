"""Any order of completion, failure and retry gives the same bytes, within the bound."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydl.model.coverage import Coverage
from raydl.model.parts import Part, Plan
from raydl.scheduler.window import Window


@settings(max_examples=80, deadline=None)
@given(
    size=st.integers(0, 400),
    there=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60)), max_size=4),
    in_order=st.booleans(),
    count=st.integers(1, 40),
    limit=st.integers(1, 200),
    lanes=st.integers(1, 6),
    data=st.data(),
)
def test_any_order_gives_the_same_bytes_within_the_bound(
    size, there, in_order, count, limit, lanes, data
):
    content = bytes(i % 251 for i in range(size))
    kept = Coverage((min(at, size), min(at + more, size)) for at, more in there)
    span = size - kept.size
    count = min(count, span)
    plan = Plan(kept, size, -(-span // count) if count else 0, count)
    window: Window[bytes] = Window(plan, limit, in_order=in_order)
    in_flight: list[Part] = []
    out = bytearray(size)
    for begin, end in kept:
        out[begin:end] = content[begin:end]
    unwritten: list[Part] = []
    at = 0
    now = 0.0
    steps = 0
    while not window.done:
        steps += 1
        assert steps < 20_000, "no progress"
        now += 1.0
        while len(in_flight) < lanes and (part := window.take(now, 7)) is not None:
            in_flight.append(part)
        assert window.pending <= max(limit, plan.largest)
        assert 0 <= window.unwritten <= window.pending <= window.given
        if in_flight:
            part = in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1)))
            # The longer it goes on, the more succeeds, so that it ends.
            outcome = (
                data.draw(st.sampled_from(["all", "some", "none", "lost"]))
                if steps < 200
                else "all"
            )
            got = {"all": part.size, "none": 0}.get(outcome, part.size // 2)
            if outcome == "lost":
                got = part.size
            rest = window.arrived(part, got, content[part.start : part.start + got])
            if outcome == "lost":
                assert rest is None
                window.lost(part)
                rest = part
            if rest is not None:
                assert rest == Part(part.number, part.start + got * (outcome != "lost"), part.stop)
                window.put_back(rest, now + data.draw(st.integers(0, 2)))
        while (item := window.peek()) is not None:
            part, payload = window.pop(item[0].start)
            assert len(payload) == part.size
            assert in_order is False or part.start == plan.after(at)
            at = part.stop
            out[part.start : part.stop] = payload
            unwritten.append(part)
        if unwritten and (steps > 200 or data.draw(st.booleans())):
            for part in unwritten:
                window.wrote(part)
            unwritten = []
    assert out == content
    assert not in_flight


def test_retries_come_first_the_nearest_to_the_head_before_all():
    window: Window[bytes] = Window(Plan(Coverage(), 30, 10, 3), 30)
    first, second = window.take(0, 10), window.take(0, 10)
    assert first is not None
    assert second is not None
    window.put_back(second, 5.0)
    window.put_back(first, 6.0)
    assert window.next_due() == 5.0
    assert window.take(4.0, 10) == Part(2, 20, 30)
    assert window.take(4.0, 10) is None
    assert window.take(7.0, 10) == first
    assert window.take(7.0, 10) == second


def test_retries_that_need_not_wait_any_more():
    window: Window[bytes] = Window(Plan(Coverage(), 20, 10, 2), 20)
    first, second = window.take(0, 10), window.take(0, 10)
    assert first is not None
    assert second is not None
    window.put_back(first, 6.0)
    window.put_back(second, 90.0)
    assert window.take(1.0, 10) is None
    window.hurry(1.0)
    assert [window.take(1.0, 10), window.take(1.0, 10)] == [first, second]
    assert window.take(100.0, 10) is None


def test_a_part_larger_than_the_window_is_given_out_alone():
    window: Window[bytes] = Window(Plan(Coverage(), 20, 10, 2), 5)
    task = window.take(0, 10)
    assert task is not None
    assert window.take(0, 10) is None
    window.arrived(task, 10, b"x" * 10)
    window.pop(0)
    assert window.take(0, 10) is None
    window.wrote(task)
    assert window.take(0, 10) is not None


def test_nothing_is_popped_before_its_turn():
    window: Window[bytes] = Window(Plan(Coverage(), 20, 10, 2), 20)
    window.take(0, 10)
    second = window.take(0, 10)
    assert second is not None
    window.arrived(second, 10, b"y" * 10)
    assert window.peek() is None
    with pytest.raises(KeyError):
        window.pop(0)


def test_parts_of_the_wished_size_within_the_bounds():
    window: Window[bytes] = Window(Plan(Coverage(), 100, 40), 80)
    sizes = []
    while (task := window.take(0, 30 if len(sizes) < 1 else 1000)) is not None:
        sizes.append(task.size)
    assert sizes == [30, 40]
    assert (window.cuts, window.left) == (2, 30)


def test_what_came_after_all_is_not_fetched_again():
    window: Window[bytes] = Window(Plan(Coverage(), 20, 10, 2), 20)
    first, second = window.take(0, 10), window.take(0, 10)
    assert first is not None
    assert second is not None
    window.put_back(first, 5.0)
    window.put_back(second)
    assert window.is_waiting(0)
    window.withdraw(0)
    assert not window.is_waiting(0)
    assert window.take(9.0, 10) == second
    assert window.take(9.0, 10) is None


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(1, 400),
    there=st.lists(st.integers(0, 40), max_size=8),
    grid=st.integers(5, 60),
    limit=st.integers(1, 80),
    has_room=st.booleans(),
    data=st.data(),
)
def test_what_is_acknowledged_together_never_waits_for_room(
    size, there, grid, limit, has_room, data
):
    """Whole blocks are acknowledged, in any order; without room only what is urgent comes."""
    kept = Coverage((n * grid, min((n + 1) * grid, size)) for n in there if n * grid < size)
    plan = Plan(kept, size, 7, None if kept.size < size else 0, grid=grid)
    window: Window[bytes] = Window(plan, limit, in_order=False)
    held: dict[int, list[Part]] = {}
    while not window.done:
        part = window.take(0.0, data.draw(st.integers(1, 9)))
        is_stuck = part is None
        if part is not None and (has_room or window.is_urgent(part)):
            window.arrived(part, part.size, b"")
            window.pop(part.start)
            held.setdefault(part.start // grid, []).append(part)
        elif part is not None:
            window.put_back(part)
            is_stuck = True
        assert window.pending <= max(limit, grid)
        whole = [
            number
            for number, parts in held.items()
            if sum(p.size for p in parts) == min((number + 1) * grid, size) - number * grid
        ]
        assert whole or not is_stuck, "it waits for ever"
        if whole and (is_stuck or data.draw(st.booleans())):
            for done in held.pop(data.draw(st.sampled_from(whole))):
                window.wrote(done)
