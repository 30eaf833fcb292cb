"""What is known of a finished file without reading it."""

import json
import os

import pytest

from raydl.model.digests import Checksum, Proof
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output import finished
from raydl.output.finished import find
from raydl.output.journal import Journal
from raydl.output.ranges import stamp_of
from raydl.output.record import Record, record_path
from tests.openfiles import nothing_stays_open

DATA = b"The bytes of the file" * 100
MD5 = "0123456789abcdef" * 2
"""The recorded one; nobody computes it unless he has to."""
URL = "http://h/f"


def remote(etag='"1"', date=None, size=2100):
    return Remote(URL, URL, size, True, etag, date, "f")


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(DATA)
    write_record(path)
    return path


def write_record(path, digests=None, found=None):
    with path.open("rb") as file:
        stamp = stamp_of(file.fileno())
    journal = Journal.of(found or remote(), Identity.of(URL))
    Record(journal, stamp, digests or {"md5": MD5}).save(record_path(path))


def look(target, found=None, *, url=URL, proof=None, algorithm="md5", verify=False):
    if proof is not None:
        proof = Proof(Checksum("md5", proof), "given")
    file, why = find(
        target,
        found or remote(),
        Identity.of(url),
        proof=proof,
        algorithm=algorithm,
        verify=verify,
        check=lambda: None,
    )
    if file is not None:
        assert file.read(0, len(DATA)) == DATA
        file.close()
    return (file is not None), why


def test_what_is_saved_is_loaded(target):
    record = Record.load(record_path(target))
    assert record.journal == Journal.of(remote(), Identity.of(URL))
    assert record.digests == {"md5": MD5}
    assert record_path(target).stat().st_mode & 0o777 == 0o600
    assert look(target) == (True, "")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", "{", "[" * 100_000,
     *(json.dumps({"version": v, "journal": j, "stamp": s, "digests": d}) for v, j, s, d in [
         (2, "ours", [], {}), (1, {}, [], {}), (1, "ours", 5, {}), (1, "ours", [], []),
         (1, "ours", [], {"md5": 5}), (1, "ours", [], 5), (1, 7, [], {})])],
)  # fmt: skip
def test_nonsense_is_no_record(target, text):
    path = record_path(target)
    journal = json.loads(path.read_text())["journal"]
    path.write_text(text.replace('"ours"', json.dumps(journal)))
    record = Record.load(path)
    assert record is None or record.digests == {}
    assert not look(target)[0]


def change(path):
    path.write_bytes(DATA.swapcase())


def change_but_keep_the_time(path):
    """A file of the same size and time, in its place."""
    times = path.stat()
    other = path.with_name("other")
    other.write_bytes(DATA.swapcase())
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


def make_shorter(path):
    os.truncate(path, 10)


@pytest.mark.parametrize("how", [change, change_but_keep_the_time, make_shorter])
def test_a_file_that_was_changed_is_not_vouched_for(target, how):
    how(target)
    os.utime(target, ns=(1, 1)) if how is change else None
    assert look(target) == (False, "it was changed since it was downloaded")
    assert look(target, proof=MD5) == (False, "it was changed since it was downloaded")


def test_another_version_or_url_is_another_file(target):
    assert look(target, remote('"2"')) == (False, "the file on the origin changed")
    assert look(target, remote(size=5)) == (
        False,
        f"it has {len(DATA)} bytes, and the file has 5",
    )
    assert look(target, url="http://other/f") == (False, f"it is of another URL, {URL}")
    write_record(target, found=remote(None))
    why = "the origin gave no way to tell whether the file changed"
    assert look(target, remote(None)) == (False, why)


def test_a_given_digest_decides(target):
    assert look(target, remote('"2"'), url="http://other/f", proof=MD5) == (True, "")
    assert look(target, proof="0" * 32) == (False, "it has another digest")
    write_record(target, {"sha256": "0" * 64})
    assert look(target, proof=MD5, algorithm=None) == (False, "its md5 is not known")


def test_it_is_read_for_a_digest_that_is_not_known(target, monkeypatch):
    import hashlib

    right = hashlib.md5(DATA).hexdigest()
    monkeypatch.setattr(finished, "READ_SIZE", 100)
    write_record(target, {"sha256": hashlib.sha256(DATA).hexdigest()})
    assert look(target, proof=right) == (True, "")
    assert look(target, proof=MD5) == (False, "it has another digest")
    write_record(target, {"sha256": "0" * 64})  # it has rotted since
    assert look(target, proof=right) == (False, "it does not have its digest any more")
    write_record(target, {"md5": right})
    assert look(target, verify=True) == (True, "")
    write_record(target, {"md5": MD5})
    assert look(target, verify=True) == (False, "it does not have its digest any more")


def test_what_is_no_regular_file_is_not_waited_for(target):
    target.unlink()
    os.mkfifo(target)
    assert look(target) == (False, "")


def test_what_comes_between_look_and_opening_is_judged(target, monkeypatch):
    real = os.open

    def swapped(path, flags, *args):
        if path == target:
            target.unlink()
            os.mkfifo(target)
        return real(path, flags, *args)

    monkeypatch.setattr(os, "open", swapped)
    assert look(target) == (False, "it was changed since it was downloaded")


def test_a_record_that_is_a_link_is_none(target):
    path = record_path(target)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))
    assert look(target) == (False, "")
    write_record(target)
    assert not path.is_symlink()


def test_nothing_stays_open_and_nothing_is_left(target):
    with nothing_stays_open():
        look(target)
        look(target, url="http://other/f")
    record_path(target).unlink()
    record_path(target).mkdir()
    with pytest.raises(OSError, match="directory"):
        write_record(target)
    assert {path.name for path in target.parent.iterdir()} == {"f", ".f.raydl"}
