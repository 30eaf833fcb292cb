"""The directories of a node, and what a worker that was killed has left there."""

from raydl.workers.shelves import Shelves


def put(path, data):
    shelves = Shelves(lambda ref, seconds: memoryview(ref))
    shelves.open("run", str(path), False, False)
    copy = ((b"k", "f", "", None), len(data), None, None, "", True)
    answer = shelves.put("run", [copy], False, [data])
    shelves.close_all()
    return answer


def test_what_was_put_there_and_not_noted_gives_way_to_another_version(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("raydl.output.shelf.Shelf.add", lambda *_: None)
        assert put(tmp_path, b"old") == (None, [None])
    assert put(tmp_path, b"newer") == (None, [None])
    assert (tmp_path / "f").read_bytes() == b"newer"
