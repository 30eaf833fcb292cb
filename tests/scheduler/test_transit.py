from raydl.model.parts import Part
from raydl.scheduler.transit import Transit

ONE, TWO, THREE = Part(0, 0, 10), Part(1, 10, 20), Part(2, 20, 30)


def test_a_pull_ends():
    away, payload = Transit(), object()
    away.put(ONE, "a", payload)
    assert 0 in away
    assert away.came(0, payload) == ONE
    assert 0 not in away
    assert away.came(0, payload) is None


def test_a_pull_of_bytes_that_were_fetched_again():
    away, old, new = Transit(), object(), object()
    away.put(ONE, "a", old)
    assert away.lose("a") == [(ONE, old)]
    away.put(ONE, "b", new)
    assert away.came(0, old) is None
    assert away.came(0, new) == ONE


def test_a_node_that_is_lost():
    away = Transit()
    for part, node in [(ONE, "a"), (TWO, "b"), (THREE, "a")]:
        away.put(part, node, object())
    assert [part for part, _ in away.lose("a")] == [ONE, THREE]
    assert 10 in away
    away.drop(10)
    away.drop(10)
    assert away.lose("b") == []
