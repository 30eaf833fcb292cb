import dataclasses
import json
import os

import pytest

from raydl.model.remote import Remote
from raydl.output import journal as module
from raydl.output.journal import Journal, boot_id


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
    journal = Journal.of(remote()).with_synced(40)
    journal.save(tmp_path / "j")
    assert Journal.load(tmp_path / "j") == journal
    assert [p.name for p in tmp_path.iterdir()] == ["j"]


def test_no_secret_is_written(tmp_path):
    Journal.of(remote()).save(tmp_path / "j")
    assert "hunter" not in (tmp_path / "j").read_text()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"a": 1}', '{"version": 99}', "[" * 200_000, "\x00"]
)
def test_what_cannot_be_understood_counts_as_none(tmp_path, text):
    (tmp_path / "j").write_text(text)
    assert Journal.load(tmp_path / "j") is None
    assert Journal.load(tmp_path / "absent") is None


def test_another_version_counts_as_none(tmp_path):
    record = dataclasses.asdict(Journal.of(remote()))
    (tmp_path / "j").write_text(json.dumps({**record, "version": 2}))
    assert Journal.load(tmp_path / "j") is None


def test_after_a_crash_of_the_process_all_that_was_written_is_kept():
    journal = Journal.of(remote()).with_synced(40)
    assert journal.kept(70) == 70
    assert journal.kept(30) == 30
    assert journal.kept(300) == 100


def test_after_a_crash_of_the_machine_only_what_was_synced(monkeypatch):
    journal = Journal.of(remote()).with_synced(40)
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
        ({"etag": '"v2"'}, False, "changed"),
        ({"etag": None}, False, "changed"),
        ({"last_modified": "now"}, False, ""),
    ],
)
def test_what_fits_and_what_does_not(changes, proven, objection):
    journal = Journal.of(remote())
    found = journal.objection(remote(**changes), proven)
    assert objection in found
    assert bool(objection) == bool(found)


@pytest.mark.parametrize(
    ("url", "proven", "theirs"),
    [
        ("https://h/f?sig=hunter3", False, ""),
        ("https://h/f?sig=another", False, "https://h/f?… (its query is another)"),
        ("https://h/f?sig=another", True, ""),
        ("https://h/g?sig=hunter3", False, "https://h/f?…"),
        ("https://h/g?sig=hunter3", True, "https://h/f?…"),
    ],
)
def test_whose_it_is(url, proven, theirs):
    assert Journal.of(remote()).another_url(remote(url=url), proven) == theirs


def test_size_and_date_and_none_of_them():
    assert "had 100 bytes and has 101" in Journal.of(remote()).objection(remote(size=101), False)
    dated = remote(etag=None)
    assert Journal.of(dated).objection(remote(etag=None, last_modified="now"), False)
    bare = remote(etag=None, last_modified=None)
    assert "no way to tell" in Journal.of(bare).objection(bare, False)
    assert Journal.of(bare).objection(bare, True) == ""


def test_what_proves_nothing_may_show_a_change():
    dated = remote(etag=None, weak_etag='"a"')
    assert Journal.of(dated).objection(dated, False) == ""
    assert "changed" in Journal.of(dated).objection(remote(etag=None, weak_etag='"b"'), True)
    fresh = remote(etag=None, last_modified=None, weak_date="then")
    later = remote(etag=None, last_modified="then")
    assert "no way to tell" in Journal.of(fresh).objection(later, False)
    assert Journal.of(fresh).objection(later, True) == ""


def test_what_an_earlier_version_did_not_note_is_no_difference(tmp_path):
    weak = remote(etag=None, weak_etag='"a"')
    record = dataclasses.asdict(Journal.of(weak))
    for later in ("weak_etag", "weak_date", "media_type"):
        del record[later]
    (tmp_path / "j").write_text(json.dumps(record))
    assert Journal.load(tmp_path / "j").objection(weak, False) == ""
    assert "changed" in Journal.of(weak).objection(remote(etag=None), False)


@pytest.mark.parametrize(
    "nonsense",
    [
        *({"synced": synced} for synced in (None, 1.5, -5, "9", True)),
        {"size": "100"},
        {"size": -1},
        {"etag": ["v1"]},
        {"boot": None},
        {"url": {}},
    ],
)
def test_a_journal_that_makes_no_sense_counts_as_none(tmp_path, nonsense):
    record = dataclasses.asdict(Journal.of(remote()))
    (tmp_path / "j").write_text(json.dumps({**record, **nonsense}))
    assert Journal.load(tmp_path / "j") is None


def test_a_huge_one_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    Journal.of(remote()).save(tmp_path / "j")
    assert Journal.load(tmp_path / "j") is None


def test_what_lies_under_its_name_is_not_followed(tmp_path):
    """Nor is what lies where it is made: whoever may write here could have put it there."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "j~").symlink_to(tmp_path / "precious")
    Journal.of(remote()).save(tmp_path / "j")
    assert (tmp_path / "precious").read_text() == "precious"
    assert Journal.load(tmp_path / "j") is not None
    (tmp_path / "link").symlink_to(tmp_path / "j")
    assert Journal.load(tmp_path / "link") is None
    os.mkfifo(tmp_path / "pipe")
    assert Journal.load(tmp_path / "pipe") is None


def test_while_it_is_in_doubt_what_was_written_does_not_count():
    journal = Journal.of(remote()).with_synced(40)
    assert journal.doubted().kept(70) == 40
    assert journal.doubted().with_synced(60).kept(70) == 70


@pytest.mark.parametrize("url", ["https://h/f?id=1", "https://mirror/g"])
def test_a_digest_for_an_etag_names_the_file_whatever_the_url(url):
    def another(etag, size=100):
        old, new = remote(etag=etag, url=url), remote(etag=etag, size=size)
        return Journal.of(old).another_url(new, False)

    assert another('"0123456789abcdef0123456789ABCDEF-12"') == ""
    assert another('"0123456789abcdef0123456789ABCDEF-12"', 101)
    # Two files of a server may well have these in common.
    for etag in ('"v1"', '"5f3b-64e1"', None):
        assert another(etag)
