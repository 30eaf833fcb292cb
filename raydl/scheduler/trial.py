"""What a trial of more lanes, or of fewer, has shown so far. Pure.

Too many lanes cost next to nothing, too few half of the speed. So more are soon believed to help,
and fewer must have shown over a longer time that they are as good. Nothing is given up for one
noisy measurement; only where all comes to a standstill there is no waiting.
"""

from __future__ import annotations

from enum import Enum

GAIN, SURE_GAIN = 1.2, 1.1
"""More lanes must bring this much more to be kept; the second where it was measured for long."""

KEEP = 0.93
"""And half the lanes this share of what there was: those that came while the parts were still
small, or by chance, go again."""

NEARLY = 0.75
"""More lanes that bring this share of what would be proportional show that each is capped. Fewer
that do not bring this share are too few for sure."""

FALL = 0.2
"""More lanes that bring only this share were more than the origin bears."""

CLEAR_SECONDS = 0.4
"""What is as clear as that takes so long to see."""

SURE_SECONDS, BURSTY_SECONDS = 1.0, 2.0
"""How long it takes to be sure that lanes bring no more, or that they are too many. Where bytes
come in bursts it is longer, and what is usual is measured over that time, too."""


class Verdict(Enum):
    """What follows from a trial."""

    WAIT = "it is not clear yet"
    KEEP = "the lanes that it tries are kept"
    BACK = "the lanes that there were are better"
    FALL = "so many bring all to a standstill"


def judge_more(
    gain: float, took: float, *, was_bursty: bool, is_bursty: bool, is_start: bool
) -> Verdict:
    """The verdict on more lanes with ``gain`` times the speed, ``took`` seconds after they came.

    ``was_bursty``, ``is_bursty``: whether bytes came in bursts before the trial, and whether they
    seem to now. ``is_start``: at the beginning what was there
    before is hardly known, and there are few lanes: the risk is to have too few.
    """
    sure = BURSTY_SECONDS if is_bursty and not is_start else SURE_SECONDS
    if gain < FALL and took >= (BURSTY_SECONDS if was_bursty else CLEAR_SECONDS):
        return Verdict.FALL
    if gain >= (GAIN if is_start and took < sure else SURE_GAIN) and (is_start or took >= sure):
        return Verdict.KEEP
    if is_start and is_bursty and took >= CLEAR_SECONDS and gain >= FALL:
        return Verdict.KEEP  # nobody can tell
    return Verdict.BACK if took >= sure else Verdict.WAIT


def judge_fewer(gain: float, took: float, is_bursty: bool) -> Verdict:
    """The verdict on fewer lanes that bring ``gain`` times as much, after ``took`` seconds.

    What comes first may have been on its way already.
    """
    if took >= (BURSTY_SECONDS if is_bursty else SURE_SECONDS):
        return Verdict.KEEP if gain >= (NEARLY if is_bursty else KEEP) else Verdict.BACK
    if gain < NEARLY and took >= CLEAR_SECONDS and not is_bursty:
        return Verdict.BACK
    return Verdict.WAIT
