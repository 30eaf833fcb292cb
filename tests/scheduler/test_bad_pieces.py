"""Pieces that do not have their digest: who is asked then, and who no more."""

import pytest

from raydl.model.errors import ChecksumError
from raydl.model.events import Notice
from raydl.model.failure import Failure
from raydl.model.pieces import Pieces
from raydl.model.remote import Source
from raydl.scheduler.mirrors import Mirror
from raydl.workers.protocol import HERE
from tests.lab import DATA, Bench
from tests.metalinks import digests_of

LENGTH = 1000
PIECES = Pieces.of("sha1", LENGTH, len(DATA), digests_of(DATA, LENGTH))


def mirror(name):
    return Mirror(Source(f"http://{name}/f", len(DATA), '"v1"', None))


def bench(*names, **kwargs):
    return Bench(None, mirrors=[mirror(name) for name in names], pieces=PIECES, **kwargs)


def lies(*urls, bad=range(10), asked=None):
    """Those mirrors have those pieces wrong."""

    def behave(team, task):
        if asked is not None:
            asked.append((task.part.start, task.source.url))
        pieces = task.source.pieces
        assert pieces == PIECES.part(task.part.start, task.part.stop)
        for number in range(task.part.start // LENGTH, task.part.stop // LENGTH):
            if task.source.url in urls and number in bad:
                got = number * LENGTH - task.part.start
                return got, Failure("piece", f"piece {number} of {task.source.url}"), None
        return task.part.size, None, None

    return behave


def test_a_bad_piece_comes_from_another_mirror():
    asked, run = [], bench("a", "b")
    bad, right = lies("http://a/f", "http://b/f", bad=[3], asked=asked), lies(asked=asked)

    def once(team, task):
        was_asked = any(start == 3000 for start, _ in asked)
        return (right if was_asked else bad)(team, task)

    run.join(HERE, 2, once)
    run.run()
    assert {url for start, url in asked if start == 3000} == {"http://a/f", "http://b/f"}
    assert run.seconds < 0.1
    assert not [text for text in run.told() if "left out" in text]


@pytest.mark.parametrize("nodes", [[HERE], ["x", "y"], ["x"]])
def test_a_mirror_is_left_after_two(nodes):
    asked, run = [], bench("a", "b", "c")
    for node in nodes:
        run.join(node, 1, lies("http://a/f", asked=asked))
    run.run()
    assert [url for _, url in asked].count("http://a/f") == 2
    (told,) = [text for text in run.told() if "left out" in text]
    assert told.startswith("http://a/f is left out from here: piece ")


def test_one_that_lies_once_stays():
    asked, run = [], bench("a", "b")
    run.join(HERE, 1, lies("http://a/f", bad=[0], asked=asked))
    run.run()
    assert [url for start, url in asked if start].count("http://a/f") > 2


@pytest.mark.parametrize("bad", [[4], range(10)])
def test_without_another_mirror_it_ends(bad):
    run = bench("a")
    run.join(HERE, 1, lies("http://a/f", bad=bad))
    with pytest.raises(ChecksumError, match=r"piece . of http://a/f"):
        run.run()
    assert bytes(run.out) == DATA[: 4000 if 4 in bad and 0 not in bad else 0]


def test_damage_on_the_way_is_asked_for_once_more():
    asked, run = [], bench("a")
    right = lies(asked=asked)

    def once(team, task):
        if not asked:
            asked.append(task)
            return 0, Failure("piece", "damaged"), None
        return right(team, task)

    run.join(HERE, 1, once)
    run.run()


def test_nobody_is_left_until_all_have_joined():
    run = bench("a", awaited=1)
    run.join(HERE, 1, lies("http://a/f"))
    run.after(5.0, lambda: run.searched(mirror("b"), "b joins"))
    run.run()


def test_a_node_that_spoils_what_it_gets_is_set_aside_and_the_mirror_is_not():
    run = bench("a")
    run.join("good", 1, lies(), seconds=0.01)
    run.join("bad", 1, lies("http://a/f"), seconds=0.01)
    run.run()
    assert [str(e) for e in run.of(Notice) if "set aside" in str(e)]
    assert not [text for text in run.told() if "left out" in text]


def test_such_a_node_costs_no_mirror_after_another():
    run = bench("a", "b", "c")
    run.join("good", 1, lies(), seconds=0.01)
    run.join("bad", 1, lies("http://a/f", "http://b/f", "http://c/f"), seconds=0.01)
    run.run()
    assert not [text for text in run.told() if "left out" in text]
