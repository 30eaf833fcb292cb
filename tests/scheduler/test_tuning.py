"""The whole scheduler against origins and links that behave in one way each, in simulated time."""

from dataclasses import replace

import pytest
import simnet
from simnet import EARLY_SECONDS, Case, Rates, fetch, simulated

MIB = 1 << 20
LINK = 25e6


def early(rates, nodes=1, connections=None, **more):
    """Bytes a second of the first ten seconds of a file that takes longer; and all of it."""
    run = fetch(Case(rates, nodes, 12 * LINK * nodes), connections, **more)
    return run.early / EARLY_SECONDS, run


EVEN = {
    "link": (Rates(link=LINK), 1, 0.97 * LINK),
    "links": (Rates(link=LINK, latency=0.1), 4, 0.9 * 3.55 * LINK),  # three come a bit later
    "shared": (Rates(total=LINK), 4, 0.97 * LINK),
    "address": (Rates(address=20e6, link=LINK), 4, 0.97 * 3.5 * 20e6),
    "connection": (Rates(connection=2e6, link=LINK), 1, 0.9 * LINK),
    "saved": (Rates(connection=1e6, saved=4e6, link=LINK), 1, 0.8 * LINK),
    "collapse": (Rates(connection=1.5e6, link=LINK, bears=16), 1, 0.86 * 24e6),
}


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize("name", EVEN)
def test_nearly_all_that_there_is_comes_from_the_beginning_on(name, noise):
    rates, nodes, least = EVEN[name]
    rate, run = early(replace(rates, noise=noise), nodes)
    assert rate > least * (1 - noise / 8)
    if name in ("shared", "address"):
        assert run.lanes <= 16


def test_a_collapse_is_told_of_and_remembered_by_the_process():
    rates = EVEN["collapse"][0]
    within = simulated()
    first = early(rates, within=within)[1]
    assert first.line == (
        "the origin slows down above 16 connections from a machine: raydl keeps to 16"
    )
    within[1].after(300.0, lambda: None)
    within[1].now += 300.0  # by now all else that was known of the origin is forgotten
    rate, run = early(rates, within=within)
    assert run.lanes == 16
    assert rate > 0.97 * 24e6
    assert run.line == first.line


def test_a_collapse_that_passes_slowly_comes_once():
    rates = replace(EVEN["collapse"][0], recovery=2.0)
    rate, run = early(rates)
    assert run.lanes == 16
    assert rate > 0.65 * 24e6


@pytest.mark.parametrize("rate", [MIB, 5 * MIB])
@pytest.mark.parametrize("nodes", [1, 4])
def test_requests_for_no_more_than_comes_at_once(rate, nodes):
    """nginx's limit_rate: where a request ends before it is slowed down, links are the limit."""
    got, run = early(Rates(request=rate, buffer=2 * MIB, link=LINK), nodes)
    assert got > 0.9 * (LINK if nodes == 1 else 3.55 * LINK)
    assert run.lanes <= 16


def test_requests_that_cannot_be_that_small():
    got, run = early(Rates(request=100 << 10, link=LINK))
    assert run.lanes == 64
    assert got > 0.75 * 64 * (128 << 10)  # the first part is for 256 KiB, which takes two seconds


@pytest.mark.parametrize("seconds", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.7])
def test_a_link_that_stops_for_a_while_is_no_collapse(at, seconds, monkeypatch):
    """Nor is it remembered as one."""
    step = simnet.Net._step

    def stalled(net):
        if at <= net.world.now - 1000.0 < at + seconds:
            net.world.after(net.step, net._step)
        else:
            step(net)

    rates = Rates(connection=2e6, link=125e6)
    usual = fetch(Case(rates, 1, 250_000_000)).seconds
    monkeypatch.setattr(simnet.Net, "_step", stalled)
    within = simulated()
    assert fetch(Case(rates, 1, 250_000_000), within=within).seconds < usual + seconds + 1.0
    (group,) = within[0]._origins.groups()
    assert group.tuner.borne is None
