"""Many files as Ray objects, on a real cluster."""

import gc
import random

import pytest
import ray

import raydl
from raydl.many.instore import Deliveries, FileRefs
from raydl.model.item import Item
from raydl.model.parts import Piece
from raydl.workers.smallfiles import LARGEST, MOST_KEPT
from tests.many.test_run import only
from tests.scripted import status

pytestmark = pytest.mark.cluster


@pytest.fixture
def cluster(two_nodes):
    yield two_nodes.address
    raydl.disconnect()
    ray.shutdown()


def data_of(pieces):
    return b"".join(bytes(memoryview(ray.get(ref))[start:stop]) for ref, start, stop in pieces)


def test_each_file_is_told_with_its_bytes(cluster, library):
    library.files["/large"] = random.Random(3).randbytes(LARGEST + 1)
    library.files["/empty"] = b""
    urls = [library.url(path) for path in library.files]
    found = {item.url: data_of(p) for item, p in raydl.refs_many(urls, address=cluster)}
    assert found == {library.url(path): data for path, data in library.files.items()}


def test_the_loop_may_be_left(cluster, library):
    urls = [library.url(path) for path in library.files]
    for _item, pieces in raydl.refs_many(urls, address=cluster):
        assert data_of(pieces) in library.files.values()
        break
    gc.collect()


def test_what_fails_is_told_in_the_end(cluster, library):
    library.on(status(404), None, only("/007"))
    library.files["/large"] = random.Random(3).randbytes(LARGEST + 1)
    items = [library.url("/006"), library.url("/007"), (library.url("/large"), None, "0" * 64)]
    came = []
    with pytest.raises(raydl.FilesFailedError, match="2 of 3 files failed") as raised:
        came.extend(item.url for item, _ in raydl.refs_many(items, address=cluster))
    assert came == [library.url("/006")]
    problems = {each.url: each.problem for each in raised.value.report}
    assert "too large to be held against a digest" in problems[library.url("/large")]
    assert "404" in problems[library.url("/007")]


def test_what_cannot_be(library):
    with pytest.raises(raydl.UsageError, match="refs need a Ray cluster"):
        raydl.refs_many([library.url("/000")], address="none")
    with pytest.raises(raydl.UsageError, match="takes no `to`"):
        raydl.refs_many([library.url("/000")], to="shared")


def test_what_is_not_taken_holds_the_rest_back():
    deliveries, taken = Deliveries(MOST_KEPT + 10), []
    deliveries.taken = lambda: taken.append(deliveries.has_room)
    file = FileRefs(Item("http://h/f"), [Piece(None, 0, 11)])
    assert deliveries.has_room
    deliveries.put(file, 11)
    assert not deliveries.has_room
    deliveries.end()
    assert list(deliveries) == [file]
    assert taken == [True]


def test_few_are_asked_for_while_nobody_takes_them(cluster, library):
    urls = [library.url("/middle") + f"?{number}" for number in range(100)]
    library.files |= {f"/middle?{n}": library.files["/middle"] for n in range(100)}
    loop = raydl.refs_many(urls, address=cluster, max_memory="80MiB")
    next(loop)
    asked = {seen.path for seen in library.requests}
    assert len(asked) < 60
    loop.close()
