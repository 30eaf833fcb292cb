import pytest

from raydl.errors import NetworkError, RangesIgnoredError, WrongAnswerError
from raydl.models import Failure, Part
from raydl.retries import Retries

HERE, THERE = Part(0, 0, 10), Part(1, 10, 20)
BROKEN = Failure("broken", "the connection broke")


def test_what_may_pass_is_tried_again_later_and_later():
    retries = Retries(8)
    waits = [retries.delay(HERE, tries, BROKEN) for tries in (1, 4)]
    assert 0 < waits[0] <= 0.5 < waits[1] <= 4
    assert retries.delay(HERE, 1, Failure("status", "busy", 503, retry_after=7.0)) >= 7


def test_a_lost_node_costs_no_wait():
    assert Retries(8).delay(HERE, 3, Failure("lane", "gone")) == 0


def test_the_tries_run_out():
    with pytest.raises(NetworkError, match=r"broke \(3 tries\)"):
        Retries(2).delay(HERE, 3, BROKEN)


def test_what_will_never_pass():
    with pytest.raises(NetworkError, match="no trust"):
        Retries(8).delay(HERE, 1, Failure("tls", "no trust"))


@pytest.mark.parametrize(
    ("kind", "error"), [("wrong", WrongAnswerError), ("no-range", RangesIgnoredError)]
)
def test_an_odd_answer_is_asked_for_once_more(kind, error):
    retries, odd = Retries(8), Failure(kind, "odd")
    assert retries.delay(HERE, 1, odd) > 0
    with pytest.raises(error):
        retries.delay(THERE, 1, odd)


def test_an_answer_that_fits_ends_the_doubt():
    retries, odd = Retries(8), Failure("wrong", "odd")
    retries.delay(HERE, 1, odd)
    retries.fitted(HERE)
    assert retries.delay(THERE, 1, odd) > 0
