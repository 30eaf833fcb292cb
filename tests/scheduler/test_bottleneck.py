"""What is said of the limit, from made-up looks and from made-up origins whose limit is known."""

import pytest

from raydl.scheduler.bottleneck import Bottleneck, Holdup
from raydl.scheduler.throttle import Throttle
from raydl.workers.protocol import HERE
from tests.lab import Bench, net

MB = 10**6
NONE = Holdup.NONE


def seen(*looks, strained=False):
    limits = Bottleneck()
    for times, holdup, nodes, lanes, rate in looks:
        for _ in range(times):
            limits.look(holdup, nodes, lanes, rate, strained)
    return limits


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ([(3, NONE, 1, 4, MB)], ""),
        ([(10, NONE, 1, 4, MB), (20, Holdup.OUTPUT, 1, 4, MB)], "the output (disk or reader)"),
        ([(9, NONE, 2, 4, MB), (20, Holdup.TRANSFER, 2, 4, MB)], "this machine's way to the nodes"),
        ([(30, Holdup.CPU_HERE, 2, 4, MB)], "this machine's processors are the limit"),
        ([(9, NONE, 2, 4, MB), (30, Holdup.CPU, 2, 4, MB)], "the nodes' processors"),
        ([(20, NONE, 1, 4, 20 * MB)], "nodes with links of their own may help"),
        ([(9, NONE, 1, 4, 48 * MB), (20, NONE, 4, 4, 184 * MB)], "more nodes would help"),
        ([(9, NONE, 1, 4, 40 * MB), (20, NONE, 4, 4, 44 * MB)], "more nodes bring nothing"),
        ([(9, NONE, 1, 4, 40 * MB), (20, NONE, 4, 4, 80 * MB)], "would help a little"),
        ([(20, NONE, 3, 4, 30 * MB)], "unclear"),
        # Between those, lanes came, too: nothing can be said of the nodes.
        ([(9, NONE, 1, 4, 48 * MB), (20, NONE, 4, 16, 184 * MB)], "unclear"),
        # One node was seen too briefly.
        ([(4, NONE, 1, 4, 40 * MB), (20, NONE, 4, 4, 44 * MB)], "unclear"),
    ],
)
def test_what_is_concluded(looks, says):
    said = seen(*looks).explain(more_brings=False, refused=False, node=HERE)
    assert says in said
    assert bool(said) == bool(says)


def test_nobody_knows_what_was_never_tried():
    looks = [(9, NONE, 1, 4, 48 * MB), (20, NONE, 4, 4, 184 * MB)]
    assert "unclear" in seen(*looks).explain(more_brings=None, refused=False, node=HERE)


@pytest.mark.parametrize(
    "looks",
    [
        [(30, NONE, 1, 4, 20 * MB)],
        [(9, NONE, 1, 4, 40 * MB), (20, NONE, 4, 4, 44 * MB)],
        [(9, NONE, 1, 4, 48 * MB), (20, NONE, 4, 4, 184 * MB)],
    ],
)
def test_no_link_is_blamed_where_processors_have_no_time(looks):
    said = seen(*looks, strained=True).explain(more_brings=False, refused=False, node=HERE)
    assert said == "which limit was met is unclear: processors had hardly any time left"
    capped = seen(*looks, strained=True).explain(more_brings=True, refused=False, node=HERE)
    assert capped == "the origin's cap per connection is the limit: more nodes would help"


def test_a_second_or_two_show_no_link():
    for looks in ([(15, NONE, 1, 4, MB)], [(9, NONE, 1, 4, 4 * MB), (9, NONE, 4, 4, 5 * MB)]):
        said = seen(*looks).explain(more_brings=False, refused=False, node=HERE)
        assert said == "which limit was met is unclear"


def test_an_origin_that_refuses():
    text = seen((20, NONE, 2, 4, 20 * MB)).explain(more_brings=True, refused=True, node=HERE)
    assert text == "the origin refuses more requests: more nodes would not help"


def test_an_origin_that_slows_down():
    text = seen((20, NONE, 2, 16, 20 * MB)).explain(None, refused=False, node=HERE, borne=1)
    assert text == "the origin slows down above 1 connection from a machine: raydl keeps to 1"


# --- known truths ---

LINK, CONNECTION = "link", "cap per connection"


def said(nodes=(HERE,), later=(), seconds=20.0, options=None, reads=0.0, cpu=0.1, **rates):
    """What is said after so many seconds of an endless file; ``later`` nodes join half-way."""
    defaults = {"count": None, "limit": 256 << 20, "connections": None, "largest": 8 << 20}
    bench = Bench(size=1 << 50, reads=reads, **{**defaults, **(options or {})})
    made = net(bench, **rates)
    made.join(*nodes, cpu=cpu)
    bench.after(seconds / 2, lambda: made.join(*later, cpu=cpu))
    bench.after(seconds, bench.close)
    bench.scheduler.run()
    return bench.job.limit


@pytest.mark.parametrize("nodes", [(HERE,), (HERE, "a"), (HERE, "a", "b", "c")])
@pytest.mark.parametrize("seconds", [4.0, 20.0])
def test_a_cap_on_each_connection(nodes, seconds):
    for speed in (MB, 5 * MB):
        text = said(nodes, seconds=seconds, connection=speed)
        assert text == "the origin's cap per connection is the limit: more nodes would help"


def test_a_cap_on_each_connection_with_nodes_that_join():
    text = said((HERE,), ("a", "b"), connection=2 * MB)
    assert text == "the origin's cap per connection is the limit: more nodes would help"


@pytest.mark.parametrize("nodes", [(HERE,), (HERE, "a", "b")])
def test_links_or_a_cap_on_each_address(nodes):
    text = said(nodes, link=50 * MB)
    assert "cap per connection" not in text
    assert "own may help" in text or "unclear" in text


def test_whose_link_it_is():
    for node in (HERE, "10.0.0.2"):
        assert said((node,), link=50 * MB).startswith(f"{node}'s link is the limit, or what the")


def test_links_of_nodes_whose_processors_have_no_time():
    assert "unclear: processors" in said((HERE,), ("a", "b"), link=50 * MB, cpu=0.93)


def test_links_or_a_cap_on_each_address_with_nodes_that_join():
    text = said((HERE,), ("a", "b"), link=50 * MB)
    assert text.endswith("what the origin gives to one address: more nodes would help")


def test_an_origin_that_has_no_more():
    assert said((HERE,), ("a", "b", "c"), total=50 * MB).endswith("more nodes bring nothing")
    assert "cap per connection" not in said((HERE, "a"), total=50 * MB)


def test_processors():
    assert "this machine's processors" in said(cpu=0.99, link=50 * MB)
    assert "the nodes' processors" in said(("a", "b"), cpu=0.99, link=50 * MB)


def test_the_disk():
    """A part of up to 8 MiB takes it half a second."""
    assert "the output (disk or reader)" in said(link=200 * MB, reads=0.5)


@pytest.mark.parametrize("rate", [MB, 20 * MB])
def test_the_users_rate(rate):
    for rates in ({"link": 50 * MB}, {"connection": 2 * MB}):
        options = {"throttle": Throttle(rate)}
        assert said(options=options, **rates).startswith("--limit-rate is the limit")


@pytest.mark.parametrize(
    ("nodes", "rates"),
    [
        ((HERE,), {"connection": 2 * MB}),
        ((HERE, "a"), {"connection": 2 * MB}),
        ((HERE, "a"), {"link": 50 * MB}),
    ],
)
def test_the_users_cap_on_connections(nodes, rates):
    options = {"most": 8}
    assert said(nodes, options=options, **rates).startswith("--max-connections-per-origin was")


def test_fixed_lanes():
    text = said((HERE,), ("a",), options={"connections": 4}, connection=2 * MB)
    assert text.startswith("all connections of --connections were busy")


def test_small_requests():
    text = said((HERE, "a"), seconds=4.0, options={"largest": 64 << 10}, connection=20 * MB)
    assert text.startswith("small requests")
