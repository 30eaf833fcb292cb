from raydl.model.parts import Part, Plan


def test_as_even_as_can_be():
    plan = Plan(10, 110, 1000, 3)
    assert plan.part_size == 34
    cut = [plan.cut(0, start, 34) for start in (10, 43, 76)]
    assert cut == [Part(0, 10, 43), Part(1, 43, 76), Part(2, 76, 110)]
    assert [part.size for part in cut] == [33, 33, 34]


def test_as_it_goes():
    plan = Plan(0, 100, 40)
    assert plan.part_size == 40
    assert plan.cut(7, 0, 25) == Part(7, 0, 25)
    assert plan.cut(8, 25, 1000) == Part(8, 25, 65)
    assert plan.cut(9, 90, 40) == Part(9, 90, 100)
