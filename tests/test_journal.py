import dataclasses
import json

import pytest

from raydl import journal as module
from raydl.journal import Journal, boot_id
from raydl.models import Remote


def remote(**changes):
    fields = {
        "url": "https://anna:hunter2@h/f?sig=hunter3",
        "final_url": "https://cdn/f?sig=hunter4",
        "size": 100,
        "ranges": True,
        "etag": '"v1"',
        "last_modified": "then",
        "name": "f",
    }
    return Remote(**{**fields, **changes})


def test_saved_and_loaded(tmp_path):
    journal = Journal.of(remote(), 100).with_synced(40)
    journal.save(tmp_path / "j")
    assert Journal.load(tmp_path / "j") == journal
    assert [p.name for p in tmp_path.iterdir()] == ["j"]


def test_no_secret_is_written(tmp_path):
    Journal.of(remote(), 100).save(tmp_path / "j")
    assert "hunter" not in (tmp_path / "j").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}', '{"version": 99}'])
def test_what_cannot_be_understood_counts_as_none(tmp_path, text):
    (tmp_path / "j").write_text(text)
    assert Journal.load(tmp_path / "j") is None
    assert Journal.load(tmp_path / "absent") is None


def test_another_version_counts_as_none(tmp_path):
    record = dataclasses.asdict(Journal.of(remote(), 100))
    (tmp_path / "j").write_text(json.dumps({**record, "version": 2}))
    assert Journal.load(tmp_path / "j") is None


def test_after_a_crash_of_the_process_all_that_was_written_is_kept():
    journal = Journal.of(remote(), 100).with_synced(40)
    assert journal.kept(70) == 70
    assert journal.kept(30) == 30
    assert journal.kept(300) == 100


def test_after_a_crash_of_the_machine_only_what_was_synced(monkeypatch):
    journal = Journal.of(remote(), 100).with_synced(40)
    for other in ("another boot", ""):
        monkeypatch.setattr(module, "boot_id", lambda other=other: other)
        assert journal.kept(70) == 40
    monkeypatch.undo()
    nowhere = dataclasses.replace(journal, boot="")
    assert nowhere.kept(70) == 40
    assert isinstance(boot_id(), str)


@pytest.mark.parametrize(
    ("changes", "proven", "objection"),
    [
        ({}, False, ""),
        ({"final_url": "https://other/"}, False, ""),
        ({"url": "https://h/f?sig=another"}, False, ""),
        ({"url": "https://h/g"}, False, "another URL"),
        ({"etag": '"v2"'}, False, "changed"),
        ({"etag": None}, False, "changed"),
        ({"last_modified": "now"}, False, ""),
    ],
)
def test_what_fits_and_what_does_not(changes, proven, objection):
    journal = Journal.of(remote(), 100)
    found = journal.objection(remote(**changes), 100, proven)
    assert objection in found
    assert bool(objection) == bool(found)


def test_size_and_date_and_none_of_them():
    assert "had 100 bytes and has 101" in Journal.of(remote(), 100).objection(remote(), 101, False)
    dated = remote(etag=None)
    assert Journal.of(dated, 100).objection(remote(etag=None, last_modified="now"), 100, False)
    bare = remote(etag=None, last_modified=None)
    assert "no way to tell" in Journal.of(bare, 100).objection(bare, 100, False)
    assert Journal.of(bare, 100).objection(bare, 100, True) == ""


@pytest.mark.parametrize("synced", [None, 1.5, -5, "9", True])
def test_a_journal_that_makes_no_sense_counts_as_none(tmp_path, synced):
    record = dataclasses.asdict(Journal.of(remote(), 100))
    (tmp_path / "j").write_text(json.dumps({**record, "synced": synced}))
    assert Journal.load(tmp_path / "j") is None
