"""Whose fault a failure is: no node ends or slows a download that the others can do."""

import itertools
import random
import time

import pytest

import raydl
from raydl.model.errors import HttpError, NetworkError, OriginChangedError
from raydl.model.events import LanesJoined, Notice, PartFailed
from raydl.model.failure import Failure
from raydl.model.parts import Part
from raydl.model.remote import Source
from raydl.scheduler.failurepolicy import SCOPES, FailurePolicy, Scope, Verdict
from raydl.scheduler.flights import Flight
from raydl.scheduler.gauge import Gauge
from raydl.scheduler.lanes import LaneGroup
from raydl.scheduler.mirrorchoice import After, MirrorChoice
from raydl.scheduler.mirrors import Mirror, Mirrors
from raydl.scheduler.nodestate import NodeState
from raydl.workers.protocol import HERE
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.lab import Bench

REFUSED = Failure("connect", "o: Network is unreachable")
SILENT = Failure("timeout", "o sent nothing for 30s")
UNTRUSTED = Failure("tls", "the certificate of o is not trusted: expired")
FORBIDDEN = Failure("status", "o answered 403", 403)
CHANGED = Failure("changed", "the file on the origin changed")
BUSY = Failure("status", "o answered 503", 503)
TOO_MANY = Failure("status", "o answered 429", 429, retry_after=120.0)
OWN = [REFUSED, SILENT, UNTRUSTED, FORBIDDEN, CHANGED, Failure("wrong", "a page to log in")]
"""What a node without a way to the origin, an old CA or clock, in the wrong country sees."""


def fails(failure):
    return lambda team, task: (0, failure, None)


# --- the decision itself ---


class Court:
    """Nodes that have asked a place for the bytes at 0, and how that went."""

    def __init__(self, *places):
        self.mirror_choice = [
            Mirror(Source(f"http://{name}/f", 9, None, None)) for name in places or "o"
        ]
        self.blame = FailurePolicy(Mirrors(self.mirror_choice))
        self.nodes, self.group = [], LaneGroup(Gauge(), 8)

    def node(self, name):
        for node in self.nodes:
            if node.name == name:
                return node
        team = type("Team", (), {"node": name, "most": 8, "period": 0.0})()
        self.nodes.append(NodeState(team, 0.0))
        self.group.join(self.nodes[-1])
        return self.nodes[-1]

    def flight(self, node, began=1.0, place=0):
        lanes = self.group.at(self.node(node))
        return Flight(1, None, Part(0, 0, 9), lanes, self.mirror_choice[place], began)

    def served(self, node, at=1.0):
        self.blame.served(self.flight(node), at)

    def says(self, node, failure, began=2.0):
        return self.blame.judge(self.flight(node, began), failure, self.nodes, began + 0.5)


def test_each_kind_says_something():
    kinds = {
        "connect",
        "proxy",
        "timeout",
        "broken",
        "tls",
        "status",
        "no-range",
        "changed",
        "wrong",
        "piece",
    }
    assert set(SCOPES) == {*kinds, "lane"}


@pytest.mark.parametrize("failure", OWN)
def test_what_only_one_node_sees_is_that_nodes(failure):
    court = Court()
    court.served("b")
    assert court.says("a", failure) is Verdict.REST_NODE


@pytest.mark.parametrize("failure", OWN)
def test_so_it_is_when_many_see_it_but_others_are_served(failure):
    court = Court()
    court.served(HERE)
    for node in "abcdef":
        assert court.says(node, failure) is Verdict.REST_NODE


@pytest.mark.parametrize("failure", [UNTRUSTED, FORBIDDEN])
def test_what_this_machine_sees_is_so(failure):
    court = Court()
    court.served("a")
    assert court.says(HERE, failure) is Verdict.END


@pytest.mark.parametrize("failure", [UNTRUSTED, FORBIDDEN])
def test_what_two_nodes_see_and_none_is_served_is_so(failure):
    court = Court()
    court.node("a"), court.node("b")
    assert court.says("a", failure) is Verdict.REST_NODE
    assert court.says("b", failure) is Verdict.END


def test_one_node_alone_proves_nothing_at_once():
    assert Court().says("a", FORBIDDEN) is Verdict.RETRY


def test_who_is_served_beside_it_was_not_cut_off():
    court = Court()
    court.served("b")
    court.served("a", 3.0)
    assert court.says("a", REFUSED, began=2.0) is Verdict.RETRY
    assert court.says("a", REFUSED, began=4.0) is Verdict.REST_NODE


@pytest.mark.parametrize("failure", [BUSY, TOO_MANY])
def test_too_many_requests_of_one_node_are_its_own_matter(failure):
    court = Court()
    court.served("b")
    assert court.says("a", failure) is Verdict.REST_NODE


@pytest.mark.parametrize("other", ["b", HERE])
def test_too_many_requests_of_a_second_node_are_too_many_of_all(other):
    court = Court()
    court.served("a"), court.served(other), court.served("c")
    assert court.says("a", TOO_MANY) is Verdict.REST_NODE
    assert court.says(other, BUSY) is Verdict.RETRY


def test_too_many_requests_where_nobody_else_is_served():
    court = Court()
    assert court.says("a", TOO_MANY) is Verdict.RETRY
    court.served("b"), court.served(HERE)
    assert court.says(HERE, TOO_MANY) is Verdict.RETRY


@pytest.mark.parametrize("node", ["b", HERE])
def test_who_is_refused_while_others_are_served_is_so_alone(node):
    court = Court()
    for refused in ("a", "b", HERE):
        court.says(refused, TOO_MANY, began=2.0)
    court.served("c", 3.0)
    assert court.says(node, TOO_MANY, began=4.0) is Verdict.REST_NODE
    court.served(node, 5.0)  # now and then: there are too many
    assert court.says(node, TOO_MANY, began=4.0) is Verdict.RETRY


def test_an_odd_answer_is_asked_for_once_more():
    court = Court()
    assert court.says(HERE, CHANGED) is Verdict.RETRY
    assert court.says(HERE, CHANGED) is Verdict.END


def test_an_answer_that_fits_ends_the_doubt():
    court = Court()
    court.says(HERE, CHANGED)
    court.blame.fitted(0)
    assert court.says(HERE, CHANGED) is Verdict.RETRY


def test_a_place_is_left_where_there_is_another():
    court = Court("o", "p")
    assert court.says(HERE, FORBIDDEN) is Verdict.LEAVE_SOURCE
    court = Court("o", "p")
    assert [court.says(HERE, BUSY, at) for at in (2.0, 3.0, 4.0)] == [
        Verdict.RETRY,
        Verdict.RETRY,
        Verdict.LEAVE_SOURCE,
    ]


def test_a_node_that_was_set_aside_asks_once_and_later_and_later():
    court = Court()
    node, place, rests = court.node("a"), court.mirror_choice[0], []
    court.served("b")
    now = 10.0
    for _ in range(6):
        flight = court.flight("a", now)
        assert court.blame.may_ask(node, place, now)
        court.blame.judge(flight, REFUSED, court.nodes, now)
        court.blame.rest(flight, REFUSED, now)
        # What was asked before that counts no more.
        assert not court.blame.rest(court.flight("a", now - 1), REFUSED, now)
        until = court.blame._of(node, place).until
        rests.append(until - now)
        assert not court.blame.may_ask(node, place, until - 0.01)
        now = until
    assert rests == sorted(rests)
    assert rests[-1] > 8
    node.flights[1] = court.flight("a", now)
    assert not court.blame.may_ask(node, place, now)
    assert court.blame.served(court.flight("a"), now)
    assert court.blame.may_ask(node, place, now)


def choice_after(refused_at):
    court = Court()
    choice = MirrorChoice(court.mirror_choice, [].append, lambda _: None)
    for began in refused_at:
        assert not choice.is_complaint(court.flight(HERE, began), REFUSED, began + 0.1)
    return court, choice


def test_refused_connections_beside_others_that_go_on_are_too_many():
    court, choice = choice_after([5.0, 6.0])
    assert choice.after_refusal(court.flight(HERE, 4.0)) is After.TOO_MANY
    assert choice.after_refusal(court.flight(HERE, 4.0)) is After.NOTHING


def test_refused_connections_before_any_other_are_an_origin_that_was_gone():
    court, choice = choice_after([5.0, 6.0])
    assert choice.after_refusal(court.flight(HERE, 7.0)) is After.BACK
    assert choice.after_refusal(court.flight(HERE, 4.0)) is After.NOTHING


def test_scopes_have_words():
    assert len({scope.value for scope in Scope}) == len(Scope)


# --- the download ---


def time_with(bad=(), **options):
    """How long 10,000 bytes take this machine and one good node, beside bad ones."""
    bench = Bench(count=200, limit=10_000, **options)
    teams = [bench.join(f"bad{n}", 64, behave) for n, behave in enumerate(bad)]
    bench.join(HERE, 64, seconds=0.5)
    bench.join("good", 64, seconds=0.5)
    bench.run()
    return bench, teams


@pytest.mark.parametrize("failure", OWN)
@pytest.mark.parametrize("connections", [4, 16])
def test_twenty_bad_nodes_hold_nobody_up(failure, connections):
    usual = time_with(connections=connections)[0].seconds
    bench, teams = time_with([fails(failure)] * 20, connections=connections, retries=0)
    assert bench.seconds < usual + 0.3
    assert not bench.tuner.refused
    assert bench.tuner.lanes == connections
    lines = [line for line in bench.told() if "is set aside" in line]
    assert len(lines) == len({line.partition(" ")[0] for line in lines}) <= 20
    assert all(failure.message in line for line in lines)
    assert all(len(team.tasks) < connections + 8 for team in teams)


@pytest.mark.parametrize("seconds", [0.02, 0.5])
def test_a_node_whose_address_is_limited_stops_nobody(seconds):
    usual = time_with(connections=4)[0].seconds
    bench = Bench(count=200, limit=10_000, connections=4, retries=0)
    bench.join(HERE, 4, seconds=0.5)
    limited = bench.join("limited", 4, fails(TOO_MANY), seconds=seconds)
    bench.join("good", 4, seconds=0.5)
    bench.run()
    assert bench.seconds < usual + 0.6
    assert not bench.tuner.refused
    assert len(limited.tasks) == 4


def test_several_nodes_whose_addresses_are_limited():
    usual = time_with(connections=4)[0].seconds
    bench, teams = time_with([fails(TOO_MANY)] * 3, connections=4, retries=0)
    assert bench.seconds < usual + 0.6
    assert all(len(team.tasks) == 4 for team in teams)


def test_a_limited_node_keeps_its_pause_whatever_still_comes():
    bench = Bench(count=400, limit=10_000, connections=4, retries=0)
    bench.join(HERE, 4, seconds=0.5)
    team = bench.join("a", 4, seconds=0.5)
    refused = Failure("status", "o answered 429", 429, retry_after=10.0)
    asked = []

    def behave(team, task):
        asked.append(bench.seconds)
        if len(asked) == 6:
            bench.after(0.01, lambda: team.answer(task, 0, None, refused))
            return None
        return task.part.size, None, None

    team.behave = behave
    bench.run()
    after = [at for at in asked if at > asked[5]]
    assert len([at for at in after if at < asked[5] + 0.01]) < 4
    assert [at for at in after if at > asked[5] + 10]
    assert not [at for at in after if asked[5] + 0.02 < at < asked[5] + 10]


def test_a_pause_that_two_nodes_are_asked_for_is_kept_by_all():
    bench = Bench(count=200, limit=10_000, connections=4)
    teams = [bench.join(node, 4, seconds=0.1) for node in (HERE, "a", "b")]
    asked = []

    def behave(team, task):
        asked.append(bench.seconds)
        if 1.0 < bench.seconds < 1.2:
            return 0, Failure("status", "o answered 429", 429, retry_after=20.0), None
        return task.part.size, None, None

    for team in teams:
        team.behave = behave
    bench.run()
    assert max(b - a for a, b in itertools.pairwise(asked)) > 19.5
    assert bench.tuner.refused


def test_bad_nodes_do_not_keep_lanes_from_being_found():
    """The more lanes, the faster, up to 32 of them."""

    def lanes(bad):
        bench = Bench(count=2000, limit=100_000, connections=None)
        for number in range(bad):
            bench.join(f"bad{number}", 64, fails(REFUSED))
        bench.join(HERE, 64, seconds=0.2)
        most = []

        def look():
            most.append(bench.tuner.lanes)
            bench.after(0.1, look)

        bench.after(0.1, look)
        bench.run()
        return max(most), bench.seconds

    alone, usual = lanes(0)
    assert alone == 64
    most, seconds = lanes(20)
    assert most == alone
    assert seconds < usual + 1.0


def test_a_bad_node_is_told_of_once_and_comes_back():
    bench = Bench(count=200, limit=10_000, connections=1)
    bench.join(HERE, 1, seconds=0.5)
    team = bench.join("a", 1, lambda team, task: None)
    team.behave = lambda team, task: (
        (0, UNTRUSTED, None) if bench.seconds < 20 else (task.part.size, None, None)
    )
    team.seconds = 0.01
    bench.run()
    assert bench.told() == [f"a is set aside: {UNTRUSTED.message}", "a takes part again"]
    assert bench.seconds < 80


def test_a_node_that_loses_its_way_later():
    """It was served before; what it says then is no complaint of the origin, and no try."""
    bench = Bench(count=400, limit=10_000, connections=8, retries=0)
    bench.join(HERE, 8, seconds=0.2)
    team = bench.join("a", 8, seconds=0.2)
    bench.after(1.05, lambda: setattr(team, "behave", fails(REFUSED)))
    bench.run()
    assert bench.seconds < 400 * 0.2 / 8 + 1
    assert not bench.tuner.refused
    assert any(line.startswith("a is set aside") for line in bench.told())


@pytest.mark.parametrize("seed", range(20))
def test_nodes_that_fail_at_random(seed):
    """Each in its own way, on and off; this machine is well: the file always comes."""
    chance = random.Random(seed)
    bench = Bench(count=300, limit=10_000, connections=4, retries=3)

    def moody(team, task):
        if int(bench.seconds) % 2 == moods[team.node]:
            return 0, chance.choice(OWN), None
        return task.part.size, None, None

    moods = {f"n{number}": chance.choice([0, 1, 2]) for number in range(8)}
    for node in moods:
        bench.join(node, 4, moody, seconds=chance.uniform(0.01, 0.3))
    bench.join(HERE, 4, seconds=0.3)
    bench.run()
    assert bench.seconds < 300 * 0.3 / 4 + 1


def test_all_nodes_without_a_way():
    """This machine does not fetch: the error is theirs, and it comes in the end."""
    bench = Bench(retries=2)
    for node in "abc":
        bench.join(node, 4, fails(REFUSED))
    with pytest.raises(NetworkError, match="unreachable"):
        bench.run()
    assert bench.seconds < 20


def test_a_node_alone_is_believed_after_a_while():
    bench = Bench(retries=8)
    bench.join("a", 4, fails(FORBIDDEN))
    with pytest.raises(HttpError, match="403"):
        bench.run()
    assert 0.5 < bench.seconds < 10


def test_a_second_node_that_comes_in_time_saves_it():
    bench = Bench(retries=8)
    bench.join("a", 4, fails(FORBIDDEN))
    bench.after(0.2, lambda: bench.join("b", 4, seconds=0.1))
    bench.run()


def test_an_origin_that_goes_ends_it():
    bench = Bench(count=100, limit=10_000, retries=2)
    teams = [bench.join(node, 2, seconds=0.1) for node in (HERE, "a", "b")]
    for team in teams:
        bench.after(0.55, lambda team=team: setattr(team, "behave", fails(REFUSED)))
    with pytest.raises(NetworkError, match="3 tries"):
        bench.run()


def test_bytes_that_nobody_gets_end_it():
    """Each node may have failed them once for reasons of its own, not more often."""

    def behave(team, task):
        lost = task.part.start == 500
        return (0, SILENT, None) if lost else (task.part.size, None, None)

    bench = Bench(count=200, limit=20_000, retries=2)
    for node in "abc":
        bench.join(node, 1, behave, seconds=0.05)
    with pytest.raises(NetworkError, match="nothing for 30s"):
        bench.run()


def test_a_file_that_changes_for_all():
    bench = Bench(count=100, limit=10_000)
    for node in (HERE, "a", "b"):
        team = bench.join(node, 2, seconds=0.1)
        bench.after(0.35, lambda team=team: setattr(team, "behave", fails(CHANGED)))
    with pytest.raises(OriginChangedError):
        bench.run()


# --- places ---


def places(*names):
    return [Mirror(Source(f"http://{name}/f", 10_000, '"v1"', None)) for name in names]


def test_tries_count_at_each_place_for_itself():
    """One place never gives these bytes, though it gives all others."""
    bad, good = places("bad", "good")

    def behave(team, task):
        lacks = task.source is bad.source and task.part.start >= 5000
        return (0, BUSY, None) if lacks and task.part.start % 1000 else (task.part.size, None, None)

    bench = Bench(count=200, limit=10_000, retries=0, mirrors=[bad, good])
    team = bench.join(HERE, 4, behave, seconds=0.05)
    bench.run()
    assert {task.source for task in team.tasks} == {bad.source, good.source}
    assert bench.of(PartFailed)


def test_a_node_that_one_place_refuses_asks_the_other():
    """Nobody else has to do without it."""
    near, far = places("near", "far")

    def behave(team, task):
        refused = task.source is far.source
        return (0, FORBIDDEN, None) if refused else (task.part.size, None, None)

    bench = Bench(count=200, limit=10_000, retries=0, connections=4, mirrors=[near, far])
    here = bench.join(HERE, 4, seconds=0.05)
    team = bench.join("a", 4, behave, seconds=0.05)
    bench.run()
    assert bench.told() == [f"a is set aside for http://far/f: {FORBIDDEN.message}"]
    assert {task.source for task in here.tasks} == {near.source, far.source}
    assert len([task for task in team.tasks if task.source is near.source]) > 50


def test_a_place_that_was_given_up_for_some_bytes_is_asked_again_when_the_other_goes():
    one, other = places("one", "other")
    refused = []

    def behave(team, task):
        if task.source is other.source and bench.seconds > 1:
            return 0, FORBIDDEN, None
        if task.source is one.source and task.part.start == 5000 and not refused:
            refused.append(task)
            return 0, BUSY, None
        return task.part.size, None, None

    bench = Bench(count=200, limit=10_000, retries=0, connections=4, mirrors=[one, other])
    one.speed, other.speed = 1e6, 1.0
    bench.join(HERE, 4, behave, seconds=0.1)
    bench.run()
    assert refused


def test_a_place_that_wants_a_pause_holds_up_no_other():
    """What it was asked for goes to the other at once, and so does everybody."""
    busy, good = places("busy", "good")
    many = Failure("status", "o answered 429", 429, retry_after=40.0)
    refused = []

    def behave(team, task):
        if task.source is busy.source and bench.seconds > 0.3:
            refused.append(task)
            return 0, many, None
        return task.part.size, None, None

    bench = Bench(count=200, limit=10_000, connections=4, mirrors=[busy, good])
    for node in (HERE, "a"):
        bench.join(node, 4, behave, seconds=0.1)
    bench.run()
    assert bench.seconds < 200 * 0.1 / 8 + 1
    assert not bench.tuner.refused
    assert 0 < len(refused) <= 8, "what was under way"


def test_all_places_want_a_pause():
    both = places("a", "b")
    many = Failure("status", "o answered 429", 429, retry_after=20.0)
    asked = []

    def behave(team, task):
        asked.append(bench.seconds)
        refused = 1.0 < bench.seconds < 1.2
        return (0, many, None) if refused else (task.part.size, None, None)

    bench = Bench(count=200, limit=10_000, connections=4, mirrors=both)
    bench.join(HERE, 4, behave, seconds=0.1)
    bench.run()
    assert max(b - a for a, b in itertools.pairwise(asked)) > 19.5
    assert bench.tuner.refused


def test_when_each_place_has_failed_it_ends():
    bench = Bench(retries=1, mirrors=places("a", "b"))
    bench.join(HERE, 1, fails(BUSY))
    with pytest.raises(HttpError, match="503"):
        bench.run()


# --- for real ---


@pytest.mark.slow
@pytest.mark.cluster
def test_a_node_of_a_cluster_without_a_way_out(own_nodes, make_origin, in_tmp):
    nodes, origin = own_nodes(2), make_origin(random_bytes(30_000_000))
    nodes.add(env_vars={"http_proxy": "http://127.0.0.1:1"})
    nodes.cluster.wait_for_nodes()
    joined, events = {HERE}, []

    def listen(event):
        events.append(event)
        if isinstance(event, LanesJoined):
            joined.add(event.node)

    def wait_for_all(handler, seen):
        if seen.range[0] > 20_000_000:
            until = time.monotonic() + 30
            while len(joined) < 3 and time.monotonic() < until:
                origin.release.wait(0.05)
        origin.release.wait(0.1)
        return False

    origin.on(wait_for_all, None)
    options = {**ALONE, "address": nodes.address, "part_size": 200_000, "connections": 4}
    report = raydl.fetch(origin.url(), on_event=listen, retries=0, **options)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert len(joined) == 3
    assert len(report.nodes) == 2
    told = [str(event) for event in events if isinstance(event, Notice)]
    assert (
        len([text for text in told if "is set aside: the proxy 127.0.0.1:1 cannot be" in text]) == 1
    )
