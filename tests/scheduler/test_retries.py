import pytest

from raydl.model.errors import HttpError, NetworkError
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.scheduler.retries import MOST_LOSSES, UNCONFIRMED, Retries

PART = Part(0, 0, 10)
BROKEN = Failure("broken", "the connection broke")


def place(name):
    return Mirror(Source(f"http://{name}/f", 100, None, None))


ONE, OTHER = place("one"), place("other")


def test_what_may_pass_is_tried_again_later_and_later():
    retries = Retries(8)
    waits = [retries.failed(PART, ONE, [ONE], BROKEN)[1] for _ in range(4)]
    assert 0 < waits[0] <= 0.5
    assert 2 <= waits[-1] <= 4
    asked = Failure("status", "busy", 503, retry_after=7.0)
    assert retries.failed(PART, ONE, [ONE], asked)[1] >= 7


def test_the_tries_run_out():
    retries = Retries(2)
    assert [retries.failed(PART, ONE, [ONE], BROKEN)[0] for _ in range(2)] == [1, 2]
    with pytest.raises(NetworkError, match=r"broke \(3 tries\)"):
        retries.failed(PART, ONE, [ONE], BROKEN)


def test_progress_starts_the_count_anew():
    retries = Retries(1)
    for _ in range(5):
        assert retries.failed(PART, ONE, [ONE], BROKEN)[0] == 1
        retries.fitted(PART.start)


def test_tries_count_at_each_place():
    retries, both = Retries(0), [ONE, OTHER]
    assert retries.failed(PART, ONE, both, BROKEN) == (1, 0.0)  # the other may have it now
    assert retries.is_spent(PART.start, ONE)
    assert not retries.is_spent(PART.start, OTHER)
    assert retries.at(PART.start)[ONE] == 1
    with pytest.raises(NetworkError):
        retries.failed(PART, OTHER, both, BROKEN)


def test_a_pause_that_one_of_several_wants_keeps_no_part_from_the_others():
    retries, both = Retries(8), [ONE, OTHER]
    retries.failed(PART, ONE, both, BROKEN)
    asked = Failure("status", "busy", 503, retry_after=40.0)
    assert retries.failed(PART, OTHER, both, asked)[1] < 1


def test_places_that_were_left_do_not_count():
    retries = Retries(0)
    with pytest.raises(NetworkError):
        retries.failed(PART, ONE, [ONE], BROKEN)


def test_what_has_run_out_waits_for_who_may_join():
    retries = Retries(1)
    for _ in range(2):
        retries.failed(PART, ONE, [ONE], BROKEN, may_join=True)
    assert retries.is_spent(PART.start, ONE)
    retries.searched([ONE, OTHER])  # one that has joined may have the bytes
    with pytest.raises(NetworkError, match="2 tries"):
        retries.searched([ONE])
    retries.fitted(PART.start)
    retries.searched([ONE])


def test_what_nobody_can_confirm_is_believed_after_a_while():
    retries, refused = Retries(8), Failure("status", "no", 403)
    for _ in range(UNCONFIRMED):
        retries.failed(PART, ONE, [ONE], refused)
    with pytest.raises(HttpError):
        retries.failed(PART, ONE, [ONE], refused)


def test_a_lost_node_is_no_try_but_there_is_an_end():
    retries, lost = Retries(0), Failure("lane", "gone")
    for _ in range(MOST_LOSSES):
        retries.lost(PART, lost)
    with pytest.raises(NetworkError, match="gone"):
        retries.lost(PART, lost)


def test_what_a_node_is_to_blame_for_is_no_try_the_first_time():
    retries = Retries(0)
    assert retries.blamed(PART, "a")
    assert retries.blamed(PART, "b")
    assert retries.has_failed(PART.start, "a")
    assert not retries.has_failed(PART.start, "c")
    assert not retries.blamed(PART, "a")
    retries.fitted(PART.start)
    assert retries.blamed(PART, "a")
