import pytest

from raydl.view.pace import Pace


def test_it_is_of_the_last_seconds():
    pace = Pace(3.0)
    assert (pace.rate, pace.seconds, pace.seconds_for(5)) == (0, 0, None)
    for now in range(11):
        pace.take(now, 10 * now if now < 5 else 50 + 2 * (now - 5))
    assert pace.rate == 2
    assert pace.seconds == 3
    assert pace.seconds_for(8) == 4


def test_figures_that_come_too_fast_change_nothing():
    pace = Pace(3.0)
    shown = set()
    for tenth in range(11):
        pace.take(tenth / 10, tenth * tenth)
        shown.add(pace.rate)
    assert shown == {0, 50, 100}


def test_nothing_is_foretold_from_less_than_a_second():
    pace = Pace(3.0)
    pace.take(0, 0)
    pace.take(0.9, 100)
    assert pace.rate > 0
    assert pace.seconds_for(100) is None
    pace.take(1.5, 150)
    assert pace.seconds_for(100) == pytest.approx(1)


def test_what_gets_less_has_no_pace():
    pace = Pace(3.0)
    pace.take(0, 100)
    pace.take(2, 50)
    assert (pace.rate, pace.seconds_for(5)) == (0, None)
    pace.clear()
    pace.take(9, 50)
    assert (pace.rate, pace.seconds) == (0, 0)


@pytest.mark.parametrize("longest", [3.0, 10.0])
def test_bursts_move_it_the_less_the_longer_it_is(longest):
    """An origin that lets a second's bytes through at once, every two seconds."""
    pace, shown = Pace(longest), []
    for tenth in range(300):
        pace.take(tenth / 10, 100 * (1 + tenth // 20))
        if tenth > 150:
            shown.append(pace.rate)
    assert max(shown) - min(shown) <= 110 / longest
