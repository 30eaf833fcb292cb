"""A node's copies: every answer is plain data, whatever happens to the file meanwhile."""

import hashlib
import os
import threading

import pytest

from raydl.model.digests import Checksum, Proof
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.placedfile import PlacedFile
from raydl.workers import nodefiles
from raydl.workers.nodefiles import LATE, LOST, MISSING, NodeFiles, open_spec
from tests.conftest import random_bytes

DATA = random_bytes(50_000)
SIZE = len(DATA)
SHA256 = hashlib.sha256(DATA).hexdigest()
URL = "http://h/f"
DEADLINE = 20


class Store:
    """Objects, which come when they are put there."""

    def __init__(self):
        self.objects, self.asked = {}, threading.Event()

    def bring(self, refs):
        if "broken" in refs:
            raise ConnectionError("Ray has gone")

    def get(self, ref, seconds):
        self.asked.set()
        found = self.objects.get(ref)
        if isinstance(found, Exception):
            raise found
        return found if found is None else memoryview(found)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def files(store, no_leaks):
    files = NodeFiles(store.get, store.bring)
    yield files
    files.close_all()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "folder" / "f"


def spec(target, proof=None, size=SIZE, url=URL, **changes):
    usual = {
        "proof": Proof(Checksum("sha256", proof), "given") if proof else None,
        "algorithm": "sha256",
        "resume": True,
        "overwrite": False,
        "skip_existing": False,
        "compare": False,
        "verify": False,
    }
    remote = Remote(url, url, size, True, '"1"', None, "f")
    identity = Identity(Identity.of(url).place, mirror=changes.pop("mirror", ""))
    return open_spec(str(target), remote, identity, **{**usual, **changes})


def good(answer):
    assert answer[0] is None
    return answer[1]


def land(files, store, start, stop, key="k"):
    store.objects["ref"] = DATA[start:stop]
    return files.land(key, start, stop, ["ref"], 1)


def have(files, store, target):
    """The whole file, of a run that ended."""
    good(files.open("first", spec(target)))
    good(land(files, store, 0, SIZE, "first"))
    good(files.publish("first"))
    good(files.close("first"))


def test_a_copy_from_opening_to_its_name(files, store, target):
    assert good(files.open("k", spec(target))) == ("open", "", "", "")
    assert good(land(files, store, 20_000, SIZE)) >= 0
    assert files.read("k", 20_000, 20_010) == ((None, None), DATA[20_000:20_010])
    problem, data = files.read("k", 0, 10)
    assert (problem[0][0], data) == ("OutputError", None)
    good(land(files, store, 0, 20_000))
    assert good(files.digest("k")) == SHA256
    good(files.publish("k"))
    assert files.read("k", 0, SIZE)[1] == DATA
    good(files.close("k"))
    assert target.read_bytes() == DATA


def test_the_next_run_knows_what_is_there(files, store, target):
    have(files, store, target)
    assert good(files.open("k", spec(target))) == ("have", f"0-{SIZE}", "", SHA256)
    assert files.read("k", 10, 20)[1] == DATA[10:20]
    good(files.close("k"))
    assert good(files.open("k", spec(target, verify=True, proof=SHA256)))[0] == "have"


def test_what_is_left_is_gone_on_from(files, store, target):
    good(files.open("k", spec(target)))
    good(land(files, store, 100, 200))
    good(files.close("k"))
    state, covered, note, _ = good(files.open("again", spec(target)))
    assert (state, covered) == ("open", "100-200")
    assert note == "going on from 100 B kept from before"


def test_what_is_of_another_mirror_is_no_part_of_this_ones(files, store, target):
    good(files.open("k", spec(target)))
    good(land(files, store, 100, 200))
    good(files.close("k"))
    _, covered, note, _ = good(files.open("again", spec(target, mirror="http://m/f")))
    assert covered == ""
    assert note == f"starting over, f.part does not fit: it is from another mirror, {URL}"
    good(land(files, store, 0, SIZE, "again"))
    good(files.publish("again"))
    good(files.close("again"))
    (problem, message, _), _ = files.open("first", spec(target))
    assert (problem, message) == (
        "TargetError",
        f"{target} exists already, and it is from another mirror, http://m/f",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, "TargetError"), ({"skip_existing": True}, "skipped"), ({"overwrite": True}, "open")],
)
def test_what_is_there_and_not_known(files, target, changes, expected):
    target.parent.mkdir()
    target.write_text("a user's")
    problem, found = files.open("k", spec(target, **changes))
    assert (problem or found)[0] == expected
    assert target.read_text() == "a user's"
    good(files.close("k"))
    assert {path.name for path in target.parent.iterdir()} == {"f"}


def test_what_is_left_there_is_held_against_a_digest_that_was_asked_for(files, target):
    target.parent.mkdir()
    target.write_bytes(b"theirs")
    digest = hashlib.sha256(b"theirs").hexdigest()
    asked = {"skip_existing": True, "compare": True}
    assert good(files.open("k", spec(target, digest, **asked))) == ("skipped", "", "", digest)
    problem, _ = files.open("other", spec(target, "0" * 64, **asked))
    assert problem[0] == "ChecksumError"
    assert good(files.open("unasked", spec(target, "0" * 64, skip_existing=True)))[0] == "skipped"
    assert target.read_bytes() == b"theirs"


def test_what_was_changed_since_is_told(files, store, target):
    have(files, store, target)
    target.write_bytes(b"changed")
    problem, _ = files.open("k", spec(target))
    assert problem[0] == "TargetError"
    assert problem[1] == f"{target} exists already, and it was changed since it was downloaded"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_file_is_never_replaced(files, target, overwrite):
    target.mkdir(parents=True)
    assert files.open("k", spec(target, overwrite=overwrite))[0][:2] == (
        "OutputError",
        f"{target} is a directory",
    )
    target.rmdir()
    os.mkfifo(target)
    assert files.open("k", spec(target, overwrite=overwrite))[0][:2] == (
        "OutputError",
        f"{target} is no regular file",
    )


def test_a_link_that_leads_nowhere_is_not_skipped(files, target):
    target.parent.mkdir()
    target.symlink_to("nowhere")
    assert files.open("k", spec(target, skip_existing=True))[0][0] == "TargetError"


@pytest.mark.parametrize("how", ["write", "truncate"])
def test_peers_get_nothing_of_a_file_that_is_changed(files, store, target, how):
    have(files, store, target)
    good(files.open("k", spec(target)))
    if how == "write":
        with target.open("r+b") as file:
            file.write(b"changed")
        os.utime(target, ns=(1, 1))
    else:
        os.truncate(target, 100)
    (problem, _), data = files.read("k", 0, 50)
    assert problem[:2] == ("OutputError", f"{target} was changed by someone else")
    assert data is None


def test_bytes_that_are_lost_or_of_another_length(files, store, target):
    good(files.open("k", spec(target)))
    store.objects["lost"] = LookupError("ObjectLostError")
    assert files.land("k", 0, 10, ["lost"], 1) == (("LookupError", "ObjectLostError", ""), None)
    store.objects["short"] = b"short"
    assert files.land("k", 0, 10, ["short"], 1)[0][0] == "LookupError"
    assert files.land("k", 0, 10, ["never"], 0)[0][:2] == ("LookupError", "the bytes did not come")
    store.objects["bug"] = KeyError("bug")
    assert files.land("k", 0, 10, ["bug"], 1)[0][:2] == ("KeyError", "unexpected KeyError: 'bug'")
    assert files.read("k", 0, 10)[1] is None


def test_several_at_once(files, store, target):
    good(files.open("k", spec(target)))
    store.objects["a"], store.objects["c"] = DATA[:10], DATA[20:30]
    items = [(0, 10, "a"), (10, 20, "broken"), (20, 30, "c"), (30, 40, "broken")]
    first, second, third, fourth = files.land_all("k", items, 0.01)
    assert (first[0], third[0]) == (None, None)
    assert (second[0], fourth[0]) == ((LOST, MISSING, ""), (LOST, LATE, ""))
    assert files.read("k", 20, 30)[1] == DATA[20:30]


def waiting(files, store, results, *args):
    """A thread that lands what does not come."""
    thread = threading.Thread(target=lambda: results.append(files.land(*args)))
    thread.start()
    assert store.asked.wait(DEADLINE)
    return thread


@pytest.mark.parametrize("end", ["forget", "close"])
def test_nobody_waits_for_what_is_not_wanted(files, store, target, end):
    good(files.open("k", spec(target)))
    results = []
    thread = waiting(files, store, results, "k", 0, 10, ["never"], 1000)
    if end == "forget":
        files.forget("k", [0])
    else:
        files.close("k")
    thread.join(DEADLINE)
    assert results == [(("LookupError", "the bytes are not wanted any more", ""), None)]
    assert files._unwanted == set()


def test_what_is_forgotten_can_come_another_way(files, store, target):
    good(files.open("k", spec(target)))
    files.forget("k", [0])
    assert files.land("k", 0, 10, ["never"], 1000)[0][0] == "LookupError"
    results = []
    store.asked.clear()
    thread = waiting(files, store, results, "k", 0, 10, ["late"], 1000)
    store.objects["late"] = DATA[:10]
    thread.join(DEADLINE)
    assert good(results[0]) > 0


@pytest.mark.parametrize("call", ["digest", "publish", "drop"])
def test_what_is_not_open(files, call):
    message = "the file is not open on this node"
    assert getattr(files, call)("k") == (("OutputError", message, ""), None)
    assert files.land("k", 0, 1, ["ref"], 1) == (("OutputError", message, ""), None)
    assert files.read("k", 0, 1) == ((("LookupError", message, ""), None), None)
    assert files.close("k") == (None, None)


def test_an_opening_that_comes_after_its_closing(files, target):
    """Calls overtake each other: a copy that nobody will close keeps its file locked."""
    files.close("k")
    assert files.open("k", spec(target))[0][0] == "CancelledError"
    assert good(files.open("k", spec(target)))[0] == "open"
    assert files.open("k", spec(target))[0][0] == "CancelledError"


@pytest.mark.parametrize("end", [lambda files: files.close("k"), NodeFiles.close_all])
def test_a_closing_amid_an_opening(files, target, monkeypatch, end):
    def placed(*args, **kwargs):
        end(files)
        return PlacedFile(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(nodefiles, "PlacedFile", placed)
        assert files.open("k", spec(target))[0][0] == "CancelledError"
    assert list(target.parent.iterdir()) == []
    assert good(files.open("k", spec(target)))[0] == "open"


def test_a_verification_ends_with_its_closing(files, store, target, monkeypatch):
    have(files, store, target)
    real = nodefiles.find

    def find(*args, check, **kwargs):
        files.close("k")
        return real(*args, check=check, **kwargs)

    monkeypatch.setattr(nodefiles, "find", find)
    assert files.open("k", spec(target, verify=True))[0][0] == "CancelledError"
    assert target.read_bytes() == DATA


def test_who_waits_for_a_digest_ends_with_the_closing(files, target):
    good(files.open("k", spec(target)))
    results = []
    thread = threading.Thread(target=lambda: results.append(files.digest("k")))
    thread.start()
    files.close("k")
    thread.join(DEADLINE)
    assert results[0][0][0] in ("CancelledError", "OutputError")


def test_no_secret_is_sent(target):
    assert "S3CR3T" not in str(spec(target, url="http://h/f?token=S3CR3T"))
