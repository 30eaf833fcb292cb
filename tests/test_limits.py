import pytest

from raydl.limits import Limits

MIB = 1 << 20


def seen(*looks):
    limits = Limits()
    for times, holdup, nodes, rate in looks:
        for _ in range(times):
            limits.look(holdup, nodes, rate)
    return limits


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ([(3, "", 1, MIB)], ""),
        ([(10, "", 1, MIB), (20, "output", 1, MIB)], "the output (disk or reader) is the limit"),
        ([(10, "", 2, MIB), (20, "transfer", 2, MIB)], "this machine's way to the nodes"),
        ([(20, "", 1, 20 * MIB)], "1 node at 20 MiB/s; its way to the origin"),
        (
            [(9, "", 1, 48 * MIB), (20, "", 4, 184 * MIB)],
            "4 nodes at 46 MiB/s each; the nodes' links are the limit: more nodes would help",
        ),
        ([(9, "", 1, 40 * MIB), (20, "", 4, 44 * MIB)], "more would not help"),
        ([(9, "", 1, 40 * MIB), (20, "", 4, 80 * MIB)], "more nodes would help a little"),
        ([(20, "", 3, 30 * MIB)], "3 nodes at 10 MiB/s each"),
    ],
)
def test_what_is_concluded(looks, says):
    assert says in seen(*looks).explain(capped=False)
    assert bool(seen(*looks).explain(capped=False)) == bool(says)


def test_a_cap_on_connections():
    text = seen((20, "", 2, 20 * MIB)).explain(capped=True)
    assert text == (
        "2 nodes at 10 MiB/s each; the origin's cap per connection is the limit: "
        "more nodes would help"
    )
