"""What is known of each origin, and for how long."""

from raydl.scheduler.origins import KEPT_SECONDS, MOST_BEARINGS, Origins


def test_what_an_origin_bears_is_known_for_longer_than_the_rest():
    origins = Origins()
    host = origins.at("http://o/f", 0.0)
    host.bearing.fell(16, 0.0)
    origins.forget(KEPT_SECONDS + 1)
    later = origins.at("http://user:word@o/g", KEPT_SECONDS + 2)
    assert later is not host
    assert later.bearing.lanes == 16


def test_it_is_known_of_those_that_were_used_last():
    origins = Origins()
    for number in range(MOST_BEARINGS + 1):
        origins.at(f"http://{number}/f", 0.0).bearing.fell(16, 0.0)
        origins.at("http://0/f", 0.0)
    origins.forget(KEPT_SECONDS + 1)
    later = [origins.at(f"http://{number}/f", 100.0).bearing.lanes for number in (0, 2, 1)]
    assert later == [16, 16, None]
