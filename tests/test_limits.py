import pytest

from raydl.limits import Holdup, Limits

MIB = 1 << 20
NONE = Holdup.NONE


def seen(*looks):
    limits = Limits()
    for times, holdup, nodes, rate in looks:
        for _ in range(times):
            limits.look(holdup, nodes, rate)
    return limits


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ([(3, NONE, 1, MIB)], ""),
        (
            [(10, NONE, 1, MIB), (20, Holdup.OUTPUT, 1, MIB)],
            "the output (disk or reader) is the limit",
        ),
        ([(10, NONE, 2, MIB), (20, Holdup.TRANSFER, 2, MIB)], "this machine's way to the nodes"),
        ([(30, Holdup.CPU_HERE, 2, MIB)], "this machine's processors are the limit"),
        ([(9, NONE, 2, MIB), (30, Holdup.CPU, 2, MIB)], "the nodes' processors are the limit"),
        ([(12, Holdup.CPU, 2, MIB), (12, Holdup.OUTPUT, 2, MIB)], ""),
        ([(20, NONE, 1, 20 * MIB)], "1 node at 20 MiB/s; its way to the origin"),
        (
            [(9, NONE, 1, 48 * MIB), (20, NONE, 4, 184 * MIB)],
            "4 nodes at 46 MiB/s each; the nodes' links are the limit: more nodes would help",
        ),
        ([(9, NONE, 1, 40 * MIB), (20, NONE, 4, 44 * MIB)], "more would not help"),
        ([(9, NONE, 1, 40 * MIB), (20, NONE, 4, 80 * MIB)], "more nodes would help a little"),
        ([(20, NONE, 3, 30 * MIB)], "3 nodes at 10 MiB/s each"),
        ([(4, NONE, 1, 40 * MIB), (20, NONE, 4, 44 * MIB)], "4 nodes at 11 MiB/s each"),
        (10 * [(1, NONE, 2, 60 * MIB), (2, NONE, 2, 0)], "2 nodes at 9.6 MiB/s each"),
    ],
)
def test_what_is_concluded(looks, says):
    assert says in seen(*looks).explain(capped=False, refused=False)
    assert bool(seen(*looks).explain(capped=False, refused=False)) == bool(says)


def test_a_cap_on_connections():
    text = seen((20, NONE, 2, 20 * MIB)).explain(capped=True, refused=False)
    assert text == (
        "2 nodes at 10 MiB/s each; the origin's cap per connection is the limit: "
        "more nodes would help"
    )


def test_an_origin_that_refuses():
    text = seen((20, NONE, 2, 20 * MIB)).explain(capped=True, refused=True)
    assert text.endswith("the origin refuses more requests: more nodes would not help")
