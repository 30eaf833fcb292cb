"""How many lanes a host gets and how fast they ask, against models of hosts, in simulated time."""

import heapq
import itertools

import pytest

from raydl.many.tempo import Tempo

SIZE = 16 << 10


class Model:
    """A host. ``answer`` says of a request that starts when it is served, None to refuse it."""

    def __init__(self, answer, nodes=1, start=100.0):
        self.answer, self.now = answer, start
        self.tempo = Tempo(nodes, start)
        self.served, self.refused, self.seconds = [], [], 0.01

    def run(self, seconds):
        """Lanes ask one file after the other, until the time is over."""
        order, events, asking = itertools.count(), [], 0
        end, next_look = self.now + seconds, self.now
        while self.now < end:
            while asking < self.tempo.lanes:
                asking += 1
                heapq.heappush(events, (self.now, next(order), "ask", 0.0))
            if not events or events[0][0] > next_look:
                self.now = next_look
                next_look += 0.1
                self.tempo.look(True, self.seconds, self.now)
                continue
            at, _, what, began = heapq.heappop(events)
            self.now = max(self.now, at)
            if what == "ask":
                if asking > self.tempo.lanes:
                    asking -= 1
                    continue
                served = self.answer(self, self.now)
                if served is None:
                    self.refused.append(self.now)
                    self.tempo.complained(self.seconds, self.now)
                    again = self.now + max(0.01, self.tempo.pace)
                    heapq.heappush(events, (again, next(order), "ask", 0.0))
                else:
                    heapq.heappush(events, (served, next(order), "end", self.now))
            else:
                self.served.append(self.now)
                self.seconds = self.now - began
                self.tempo.came(1, SIZE, self.now - began, self.now)
                again = max(self.now, began + self.tempo.pace)
                heapq.heappush(events, (again, next(order), "ask", 0.0))

    def rate(self, since, until):
        return sum(since <= at < until for at in self.served) / (until - since)


def latency(seconds):
    return lambda model, now: now + seconds


def serves(rate):
    """As many a second as it can, one after the other, however many ask."""
    free = [0.0]

    def answer(model, now):
        free[0] = max(free[0], now) + 1 / rate
        return free[0]

    return answer


def limited(rate, burst):
    """nginx's limit_req: a bucket that leaks."""
    bucket = [0.0, 0.0]

    def answer(model, now):
        level = max(0.0, bucket[0] - (now - bucket[1]) * rate) + 1
        bucket[1] = now
        if level > burst + 1:
            bucket[0] = level - 1
            return None
        bucket[0] = level
        return now + 0.005

    return answer


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.5, 3.0])
@pytest.mark.parametrize("nodes", [1, 4])
def test_a_host_that_takes_its_time_gets_many_lanes_soon(nodes, seconds):
    model = Model(latency(seconds), nodes)
    model.run(14 * seconds + 0.5)
    assert model.tempo.lanes == 64 * nodes
    model.run(4 * seconds)
    assert model.rate(model.now - 2 * seconds, model.now) > 0.9 * 64 * nodes / seconds


@pytest.mark.parametrize("rate", [50, 1000])
def test_a_host_that_is_busy_gets_no_more_than_it_can_use(rate):
    model = Model(serves(rate))
    model.run(60)
    assert model.tempo.lanes <= 8
    assert model.rate(110, 160) > 0.95 * rate


@pytest.mark.parametrize("nodes", [1, 4])
def test_a_limit_of_requests_is_kept_and_used(nodes):
    model = Model(limited(100, 20), nodes)
    model.run(60)
    late = [at for at in model.refused if at > 102]
    served = [at for at in model.served if at > 102]
    assert len(late) < 0.01 * (len(late) + len(served))
    assert len(served) / 58 >= 90


def test_a_limit_that_is_gone_is_forgotten_by_and_by():
    model = Model(limited(100, 20))
    model.run(5)
    model.answer = latency(0.02)
    model.run(30)
    assert model.rate(model.now - 5, model.now) > 1000


def refuses(seconds, then):
    """It refuses everything at first."""
    return lambda model, now: None if now < 100.0 + seconds else then(model, now)


@pytest.mark.parametrize("seconds", [0.001, 0.5, 3.0])
@pytest.mark.parametrize("nodes", [1, 4])
def test_a_complaint_before_anything_was_served_is_no_measure(nodes, seconds):
    model = Model(refuses(seconds, latency(0.02)), nodes)
    model.run(20)
    assert len(model.refused) <= 2 * nodes
    assert model.tempo.lanes == 64 * nodes
    assert model.rate(model.now - 5, model.now) > 0.9 * 64 * nodes / 0.02


@pytest.mark.parametrize(("most", "seconds"), [(8, 0.2), (20, 0.5)])
def test_a_host_that_takes_only_so_many_at_once_is_seldom_refused_by(most, seconds):
    """A complaint ends a trial of more lanes, and the next one comes later."""
    under_way = []

    def answer(model, now):
        under_way[:] = [end for end in under_way if end > now]
        if len(under_way) >= most:
            return None
        under_way.append(now + seconds)
        return now + seconds

    model = Model(answer)
    model.run(300)
    assert len(model.refused) < 0.02 * len(model.served)
    assert len(model.served) / 300 > 0.55 * most / seconds


def test_what_refused_a_while_is_no_guess_once_it_has_served():
    tempo = Tempo(1, 100.0)
    tempo.came(1, SIZE, 0.1, 100.1)
    tempo.complained(0.1, 110.0)
    assert tempo.rate < 1
    for turn in range(100):
        tempo.look(True, 0.1, 110.0 + turn * 0.1)
    assert tempo.rate < 1.2


def test_a_busy_host_that_complained_once_gets_no_more_than_it_can_use():
    model = Model(refuses(0.5, serves(50)))
    model.run(60)
    assert model.tempo.lanes <= 8
    assert model.rate(150, 160) > 0.95 * 50


def test_the_user_has_the_last_word():
    tempo = Tempo(4, 0.0, most=3)
    assert tempo.lanes == 3
    for turn in range(100):
        tempo.came(100, SIZE, 0.1, turn * 0.1)
        tempo.look(True, 0.01, turn * 0.1)
        assert tempo.lanes <= 3


def test_nodes_that_come_bring_lanes():
    tempo = Tempo(1, 0.0)
    tempo.fleet(4)
    assert tempo.lanes >= 16
