from raydl.model.coverage import Coverage
from raydl.model.parts import Part, Plan


def test_as_even_as_can_be():
    plan = Plan(Coverage([(0, 10)]), 110, 1000, 3)
    assert plan.part_size == 34
    cut = [plan.cut(0, start, 34) for start in (10, 43, 76)]
    assert cut == [Part(0, 10, 43), Part(1, 43, 76), Part(2, 76, 110)]
    assert [part.size for part in cut] == [33, 33, 34]


def test_as_it_goes():
    plan = Plan(Coverage(), 100, 40)
    assert plan.part_size == 40
    assert plan.cut(7, 0, 25) == Part(7, 0, 25)
    assert plan.cut(8, 25, 1000) == Part(8, 25, 65)
    assert plan.cut(9, 90, 40) == Part(9, 90, 100)


def test_only_what_is_missing():
    """Parts are as even as can be over the gaps, and none reaches across what is there."""
    plan = Plan(Coverage([(0, 10), (40, 60), (100, 110)]), 120, 1000, 4)
    assert (plan.span, plan.start, plan.gaps) == (80, 10, ((10, 40), (60, 100), (110, 120)))
    cut, at = [], plan.start
    while at < plan.size:
        cut.append(plan.cut(0, at, 20))
        at = plan.after(cut[-1].stop)
    assert cut == [
        Part(0, 10, 30), Part(1, 30, 40), Part(1, 60, 70), Part(2, 70, 90), Part(3, 90, 100),
        Part(3, 110, 120),
    ]  # fmt: skip


def test_what_is_whole_misses_nothing():
    plan = Plan(Coverage([(0, 9)]), 9, 5)
    assert (plan.span, plan.start, plan.after(0)) == (0, 9, 9)
