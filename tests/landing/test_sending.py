"""Blocks on their way into a bucket: who sends them, what is tried again, what is let go."""

from __future__ import annotations

import zlib
from functools import partial

import pytest

from raydl.landing import blocks, sending
from raydl.landing.blocks import Blocks, Held, grid_for
from raydl.landing.desk import Desk
from raydl.landing.hashing import Hashing, HashLost
from raydl.landing.s3 import Place
from raydl.landing.sending import Into, Pace, Sending
from raydl.model.control import Control
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import OutputError, UsageError
from raydl.model.parts import Part
from raydl.workers.nodefiles import LOST
from raydl.workers.puts import Puts

GRID = 100
MIB = 1 << 20


class Payload:
    def __init__(self, data):
        self.ref, self.released = data, False

    def release(self):
        self.released = True


class Hand:
    """A node whose worker answers when the test wants."""

    def __init__(self, node):
        self.node, self.asked = node, []
        self.puts = Puts(lambda refs, _: [memoryview(ref) for ref in refs])

    def ask(self, method, *args, of, limit, done):
        self.asked.append((method, args, of, done))

    def digest(self, key, at, done):
        done(self.puts.digest(key, at))

    def answer(self, answer=None):
        """Answer the oldest question: with what is right, where nothing else is given."""
        method, args, of, done = self.asked.pop(0)
        refs = [held.payload.ref for held in of]
        if answer is None and method == "put":
            answer = (None, ('"etag"', (), None, ""))
        elif answer is None:
            answer = getattr(self.puts, method)(*args, refs, [len(ref) for ref in refs], 1.0)
        done(answer)


class Bucket:
    place = Place("bucket", "key")

    def __init__(self):
        self.signed = []

    def sign(self, upload, number, algorithm, digest):
        self.signed.append((number, digest))
        return f"https://host/{number}?secret", {}


class Bench:
    """A file of three blocks that nodes bring to a bucket; the time stands until it is told."""

    def __init__(self, checksum=None):
        self.data = bytes(i % 251 for i in range(250))
        self.now, self.told, self.bucket, self.sent = 0.0, [], Bucket(), {}
        self.desk = Desk(Control(), lambda team: None, lambda *_: None, lambda: self.now)
        self.blocks = Blocks(250, GRID)
        self.hashing = checksum and Hashing(
            self.desk, Proof(Checksum.parse(checksum), "given"), 250, lambda: self.hands["b"]
        )
        into = Into(self.bucket, "upload", "crc32", None, retries=2, timeout=5.0)
        self.events = []
        self.sending = Sending(
            self.desk, self.blocks, into, self.sent, self.hashing, self.events.append
        )
        self.hands = {node: Hand(node) for node in "ab"}
        self.sending.hands.update(self.hands)
        self.done = {}

    def bring(self, start, stop, node):
        part = Part(0, start, stop)
        payload = Payload(self.data[start:stop])
        done = partial(self.done.__setitem__, start)
        self.sending.take(part, payload, node, done)
        self.turn()
        return payload

    def turn(self, seconds=0.0):
        """What is posted is done, and what can be started is."""
        self.now += seconds
        turns = iter([False, False, True])

        def turn():
            self.sending.turn()
            return next(turns)

        self.desk.post(lambda: None)
        self.desk.post(lambda: None)
        self.desk.run(turn)

    def answer(self, node, answer=None):
        self.hands[node].answer(answer)
        self.turn()

    def send(self, node):
        """The node's oldest block is summed and sent."""
        self.answer(node)
        self.answer(node)


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("raydl.landing.desk.TURN_SECONDS", 0.0)


def test_a_block_is_sent_once_it_is_whole_by_whoever_has_most_of_it():
    bench = Bench()
    bench.bring(0, 30, "a")
    assert not bench.hands["a"].asked
    bench.bring(30, 100, "b")
    assert not bench.hands["a"].asked
    bench.send("b")
    assert bench.done == {0: "", 30: ""}
    assert bench.bucket.signed == [(1, f"{zlib.crc32(bench.data[:100]):08x}")]
    assert bench.sent[1].crc == zlib.crc32(bench.data[:100])


def test_what_no_worker_should_say_costs_no_download():
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.answer("a", (("TypeError", "unexpected TypeError", ""), None))
    bench.turn(60)
    bench.send("b")
    assert bench.done == {0: ""}


def test_what_was_lost_is_fetched_again_and_nothing_else():
    bench = Bench()
    bench.bring(0, 30, "a")
    bench.bring(30, 100, "b")
    bench.answer("b", ((LOST, "its node died", ""), [0]))
    assert bench.done == {0: "its node died"}
    bench.bring(0, 30, "b")
    bench.send("b")
    assert bench.done == {0: "", 30: ""}


def test_a_worker_that_is_lost_has_its_block_sent_by_another():
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.answer("a")
    late = bench.hands["a"]
    bench.sending.left("a", "its process ended")
    bench.turn(60.0)
    assert [asked[0] for asked in bench.hands["b"].asked] == ["checksum"]
    late.answer()  # its PUT did arrive
    bench.turn()
    assert not bench.done
    bench.send("b")
    assert bench.done == {0: ""}


def test_whom_it_takes_much_longer_than_others_has_it_sent_by_another():
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.turn(1000.0)
    assert not bench.hands["b"].asked  # nobody knows yet how long it takes
    bench.bring(100, 200, "b")
    bench.turn(1.0)
    bench.send("b")
    bench.turn()
    assert [method for method, *_ in bench.hands["b"].asked] == ["checksum"]
    bench.send("b")
    assert bench.done == {0: "", 100: ""}
    bench.bring(200, 250, "a")  # it has most of it, and is late
    assert [method for method, *_ in bench.hands["b"].asked] == ["checksum"]
    bench.send("b")
    assert bench.done == {0: "", 100: "", 200: ""}


def overtaken():
    """A bench where a's PUT of block 0 was late, and b was asked for it, too."""
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.answer("a")
    bench.bring(100, 200, "b")
    bench.turn(1000.0)
    bench.send("b")
    bench.turn()
    assert [asked[0] for asked in bench.hands["b"].asked] == ["checksum"]
    return bench


def test_what_was_overtaken_counts_if_it_is_there_first():
    bench = overtaken()
    bench.answer("a")
    assert bench.done == {0: "", 100: ""}
    bench.answer("b")  # what it was asked for is no use any more
    bench.bring(200, 250, "b")
    bench.send("b")
    assert bench.done == {0: "", 100: "", 200: ""}


def test_no_block_is_sent_by_a_third_because_both_are_slow():
    bench = overtaken()
    bench.answer("b")
    bench.turn(10_000.0)
    assert [asked[0] for asked in bench.hands["a"].asked + bench.hands["b"].asked] == ["put"] * 2
    bench.answer("b")
    assert bench.done == {0: "", 100: ""}


def test_the_next_try_is_another_nodes():
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.answer("a")
    bench.answer("a", (None, ("", (), ("broken", "the connection broke", 0, None), "")))
    bench.turn(60.0)
    assert not bench.hands["a"].asked
    bench.send("b")
    assert bench.done == {0: ""}


def test_tries_end_with_an_error_that_names_no_url():
    bench = Bench()
    bench.bring(0, 100, "a")

    def fail(node):
        bench.turn(60.0)
        bench.answer(node)
        bench.answer(node, (None, ("", (), ("broken", "it broke", 0, None), "")))

    fail("a")
    fail("b")
    with pytest.raises(OutputError) as caught:
        fail("a")
    assert "it broke (3 tries)" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_answer_with_another_checksum_is_none():
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.answer("a")
    bench.answer("a", (None, ('"etag"', (("crc32", "AAAAAA=="),), None, "")))
    assert not bench.done
    assert not bench.sent


def test_a_node_has_a_few_blocks_under_way(monkeypatch):
    monkeypatch.setattr(sending, "AT_ONCE", 1)
    bench = Bench()
    bench.bring(0, 100, "a")
    bench.bring(100, 200, "a")
    bench.bring(200, 250, "a")
    assert [len(hand.asked) for hand in bench.hands.values()] == [1, 1]
    bench.send("a")
    bench.send("a")
    bench.send("b")
    assert sorted(bench.done) == [0, 100, 200]


def test_bytes_are_kept_until_they_are_in_the_digest():
    data = bytes(i % 251 for i in range(250))
    bench = Bench(f"crc32:{zlib.crc32(data):08x}")
    bench.bring(100, 200, "a")
    bench.send("a")
    assert not bench.done
    bench.bring(0, 100, "a")
    bench.send("a")
    assert not bench.done
    bench.answer("b")
    assert bench.done == {0: ""}
    bench.answer("b")
    bench.bring(200, 250, "a")
    bench.send("a")
    bench.answer("b")
    assert bench.done == {0: "", 100: "", 200: ""}
    assert bench.hashing.verify("it")


def test_bytes_that_are_lost_to_the_digest_are_not_sent_twice():
    bench = Bench("crc32:00000000")
    bench.bring(0, 100, "a")
    bench.send("a")
    bench.answer("b", ((LOST, "its node died", ""), [0]))
    assert bench.done == {0: "its node died"}
    bench.bring(0, 100, "a")
    assert not bench.hands["a"].asked
    bench.answer("b")
    assert bench.done == {0: ""}


def test_a_digest_ends_with_its_worker():
    bench = Bench("crc32:00000000")
    bench.bring(0, 100, "a")
    with pytest.raises(HashLost):
        bench.answer("b", ((LOST, "its process ended", ""), None))
    bench = Bench("crc32:00000000")
    bench.bring(0, 100, "a")
    with pytest.raises(HashLost):
        bench.hashing.left("b", "its process ended")


def test_what_is_held_is_let_go_at_the_end():
    bench = Bench()
    payload = bench.bring(0, 30, "a")
    bench.blocks.drop()
    assert payload.released


def test_the_pace_is_halved_once_for_what_was_refused_together():
    pace = Pace()
    assert pace.slow(8, began=0.0, now=1.0)
    assert not pace.slow(7, began=0.5, now=1.1)
    assert pace.most == 4
    for _ in range(5):
        pace.went_well()
    assert 5 < pace.most < 6
    assert pace.slow(1, began=2.0, now=3.0)
    assert pace.most == 1


def test_the_grid_fits_the_limits():
    assert grid_for(1, 256 * MIB) == 8 * MIB
    assert grid_for(100 << 30, 256 * MIB) == 16 * MIB
    for size in (1, 78 << 30, 79 << 30, 1 << 40, 5 << 40):
        grid = grid_for(size, 1 << 40)
        assert blocks.SMALLEST <= grid <= blocks.LARGEST
        assert -(-size // grid) <= blocks.MOST_BLOCKS
    with pytest.raises(UsageError, match="max_memory"):
        grid_for(5 << 40, 256 * MIB)
    with pytest.raises(UsageError, match="at most"):
        grid_for((5 << 40) + 1, 1 << 40)


def test_who_is_lost_while_it_is_late_can_be_asked_again():
    bench = overtaken()
    bench.sending.left("a", "its process ended")
    assert bench.sending._busy["a"] == 0
    bench.send("b")
    assert bench.done == {0: "", 100: ""}


def test_bytes_that_come_twice_make_no_block_whole():
    """One of the right size with a gap would be sent with wrong bytes."""
    block = Blocks(100, 100).add(Held(Part(0, 0, 50), None, "a", print))
    assert block is not None
    block.held[25] = Held(Part(1, 25, 75), None, "b", print)
    assert not block.is_whole
    block.held = {0: block.held[0], 50: Held(Part(2, 50, 100), None, "b", print)}
    assert block.is_whole
