"""Verdicts on trials, by what they have shown."""

import pytest

from raydl.scheduler.trial import Verdict, judge_fewer, judge_more

WAIT, KEEP, BACK, FALL = Verdict.WAIT, Verdict.KEEP, Verdict.BACK, Verdict.FALL


@pytest.mark.parametrize(
    ("gain", "took", "verdict"),
    [
        (1.25, 0.2, KEEP),
        (1.15, 0.2, WAIT),
        (1.15, 1.0, KEEP),
        (1.0, 0.9, WAIT),
        (1.0, 1.0, BACK),
        (0.1, 0.3, WAIT),
        (0.1, 0.4, FALL),
        (0.3, 0.9, WAIT),
    ],
)
def test_more_at_the_beginning(gain, took, verdict):
    even = {"was_bursty": False, "is_bursty": False}
    assert judge_more(gain, took, is_start=True, **even) is verdict


@pytest.mark.parametrize(
    ("gain", "took", "verdict"),
    [(2.0, 0.9, WAIT), (1.15, 1.0, KEEP), (1.05, 1.0, BACK), (0.1, 0.4, FALL)],
)
def test_more_later(gain, took, verdict):
    even = {"was_bursty": False, "is_bursty": False}
    assert judge_more(gain, took, is_start=False, **even) is verdict


@pytest.mark.parametrize(
    ("gain", "took", "was", "start", "verdict"),
    [
        (0.5, 0.3, False, True, WAIT),
        (0.5, 0.4, False, True, KEEP),  # nobody can tell, and there are few
        (0.1, 0.4, False, True, FALL),
        (0.1, 0.4, True, True, WAIT),
        (0.1, 2.0, True, True, FALL),
        (1.5, 1.9, True, False, WAIT),
        (1.5, 2.0, True, False, KEEP),
        (1.0, 2.0, True, False, BACK),
    ],
)
def test_more_where_bytes_come_in_bursts(gain, took, was, start, verdict):
    assert judge_more(gain, took, was_bursty=was, is_bursty=True, is_start=start) is verdict


@pytest.mark.parametrize(
    ("gain", "took", "bursty", "verdict"),
    [
        (1.0, 0.9, False, WAIT),
        (1.0, 1.0, False, KEEP),
        (0.9, 1.0, False, BACK),
        (0.5, 0.3, False, WAIT),
        (0.5, 0.4, False, BACK),
        (0.5, 1.9, True, WAIT),
        (0.5, 2.0, True, BACK),
        (0.8, 2.0, True, KEEP),
    ],
)
def test_fewer(gain, took, bursty, verdict):
    assert judge_fewer(gain, took, bursty) is verdict
