from hypothesis import given
from hypothesis import strategies as st

from raydl.model.backoff import FIRST, LONGEST, LONGEST_ASKED, delay


@given(st.integers(1, 200))
def test_it_grows_and_is_bounded(tries):
    ceiling = min(LONGEST, FIRST * 2.0 ** (tries - 1))
    assert ceiling / 2 <= delay(tries) <= ceiling


def test_what_the_origin_asks_for_is_obeyed_within_reason():
    assert 7 <= delay(1, 7) <= 7 + FIRST
    assert delay(1, 86_400) <= LONGEST_ASKED + FIRST
