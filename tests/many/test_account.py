"""How far a run is, by what became of its files."""

import pytest

from raydl.many.account import Account, UnderWay
from raydl.many.host import Task
from raydl.many.names import Extent, Naming, must_differ
from raydl.model.errors import HttpError
from raydl.model.fileevents import FilesNow
from raydl.model.item import Item
from raydl.workers.smallfiles import Brought

NOTHING = UnderWay()


def share(extent, *, large=NOTHING, done=(), failed=()):
    told = []
    account = Account(told.append, lambda _: None, extent)
    account.large = lambda: large
    for size in done:
        brought = Brought(size or 7, 0, "f", None, None, "", "", 0.1)
        account.done(Task(Item("http://h/f", size=size), "f"), brought, "")
    for size in failed:
        account.failed(Task(Item("http://h/g", size=size), "g"), HttpError("gone"))
    account.look(0.0, list, list)
    (now,) = (event for event in told if isinstance(event, FilesNow))
    return now.share


@pytest.mark.parametrize(
    ("extent", "how", "wanted"),
    [
        (None, {"done": [None]}, None),
        (Extent(4, None), {"done": [None], "failed": [None]}, 0.5),
        (Extent(4, None), {"done": [None], "large": UnderWay(900, 900, 1.5)}, 0.625),
        (Extent(4, 1000), {"done": [100], "failed": [150], "large": UnderWay(50, 250, 0.9)}, 0.5),
        (Extent(2, 0), {"done": [0]}, 0.5),
        (Extent(0, 0), {}, 1.0),
    ],
)
def test_bytes_count_where_they_are_known_and_files_else(extent, how, wanted):
    assert share(extent, **how) == wanted


def test_how_much_a_list_is():
    known = [Item("http://h/a", size=3), Item("http://h/b", size=4)]
    assert must_differ(lambda: iter(known), Naming()) == (2, 7)
    unknown = [*known, Item("http://h/c")]
    assert must_differ(lambda: iter(unknown), Naming()) == (3, None)
