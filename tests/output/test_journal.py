import dataclasses
import hashlib
import json
import os
import zlib

import pytest

from raydl.model.coverage import Coverage
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
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


def journal_of(remote, synced=()):
    journal = Journal.of(remote, Identity.of(remote.url))
    return journal.with_synced(Coverage(synced)) if synced else journal


def record_of(remote, folder):
    """The journal of ``remote`` as plain data."""
    journal_of(remote).save(folder / "j")
    return json.loads((folder / "j").read_text())


FIRST = [(0, 40)]
FILE = Identity.of(remote().url)


@pytest.mark.parametrize("synced", [(), FIRST, [(0, 40), (60, 61), (80, 100)], [(60, 61)]])
def test_saved_and_loaded(tmp_path, synced):
    journal = journal_of(remote(), synced)
    journal.save(tmp_path / "j")
    assert Journal.load(tmp_path / "j") == journal
    assert [p.name for p in tmp_path.iterdir()] == ["j"]


def test_what_is_in_one(tmp_path):
    """Later versions read it: what changes here needs another version."""
    journal = dataclasses.replace(journal_of(remote(), [(0, 40), (60, 61)]), boot="b")
    journal.save(tmp_path / "j")
    query = hashlib.sha256(repr([("sig", "hunter3")]).encode()).hexdigest()
    assert json.loads((tmp_path / "j").read_text()) == {
        "version": 3,
        "identity": f"https://h/f?…#{query}",
        "size": 100,
        "etag": '"v1"',
        "last_modified": "then",
        "boot": "b",
        "synced": "0-40,60-61",
        "weak_etag": None,
        "weak_date": None,
        "media_type": "",
    }


VERSION_1 = (
    '{"url": "https://h/f?\\u2026", "query": "%s", "size": 100, "etag": "\\"v1\\"", '
    '"last_modified": "then", "boot": "b", "synced": 40, "version": 1, "weak_etag": null, '
    '"weak_date": null, "media_type": ""}'
)


def test_one_of_the_first_version(tmp_path):
    query = hashlib.sha256(repr([("sig", "hunter3")]).encode()).hexdigest()
    (tmp_path / "j").write_text(VERSION_1 % query)
    journal = Journal.load(tmp_path / "j")
    expected = dataclasses.replace(journal_of(remote(), FIRST), boot="b", length_tells=True)
    assert journal == expected


def of_version_2(folder, synced):
    """What an earlier raydl left, in this boot."""
    record = {**journal_of(remote(), synced).record(), "version": 2}
    (folder / "j").write_text(json.dumps(record))
    return Journal.load(folder / "j")


def test_one_of_the_second_version(tmp_path):
    expected = dataclasses.replace(journal_of(remote(), FIRST), length_tells=True)
    assert of_version_2(tmp_path, FIRST) == expected


def test_no_secret_is_written(tmp_path):
    journal_of(remote()).save(tmp_path / "j")
    assert "hunter" not in (tmp_path / "j").read_text()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"a": 1}', '{"version": 99}', "[" * 200_000, "\x00"]
)
def test_what_cannot_be_understood_counts_as_none(tmp_path, text):
    (tmp_path / "j").write_text(text)
    assert Journal.load(tmp_path / "j") is None
    assert Journal.load(tmp_path / "absent") is None


def test_another_version_counts_as_none(tmp_path):
    record = record_of(remote(), tmp_path)
    for version in (0, 4, None, "2"):
        (tmp_path / "j").write_text(json.dumps({**record, "version": version}))
        assert Journal.load(tmp_path / "j") is None


def noted(folder, written, synced=()):
    """The journal of a run that was killed, with a note of what it had written."""
    journal = journal_of(remote(), synced)
    journal.save(folder / "j")
    journal.note(folder / "j", Coverage(written))
    return Journal.load(folder / "j")


def test_after_a_crash_of_the_process_all_that_was_noted_is_kept(tmp_path):
    journal = noted(tmp_path, [(0, 50), (60, 80)], FIRST)
    assert list(journal.kept(100)) == [(0, 50), (60, 80)]
    assert list(journal.kept(70)) == [(0, 50), (60, 70)]
    assert list(journal.kept(55)) == [(0, 50)]
    assert list(journal.kept(0)) == []
    assert list(noted(tmp_path, [(0, 50)], [(90, 100)]).kept(300)) == [(0, 50), (90, 100)]
    assert list(noted(tmp_path, [(60, 300)]).kept(300)) == [(60, 100)]


def test_the_length_alone_says_nothing():
    assert list(journal_of(remote(), FIRST).kept(70)) == FIRST


def test_but_where_a_file_grew_in_order(tmp_path):
    journal = of_version_2(tmp_path, FIRST)
    assert list(journal.kept(70)) == [(0, 70)]
    assert list(journal.kept(30)) == [(0, 30)]
    assert list(journal.kept(300)) == [(0, 100)]
    (tmp_path / "j").unlink()
    journal.save(tmp_path / "j")
    assert list(Journal.load(tmp_path / "j").kept(70)) == FIRST
    assert list(journal.with_synced(Coverage(FIRST)).kept(70)) == FIRST


@pytest.mark.parametrize("synced", [[(0, 40), (60, 80)], [(60, 80)]])
def test_where_there_are_gaps_the_length_says_nothing(tmp_path, synced):
    """Whatever wrote that did not write in order."""
    journal = of_version_2(tmp_path, synced)
    assert list(journal.kept(100)) == synced
    assert list(journal.kept(70)) == [*synced[:-1], (60, 70)]
    assert list(journal.kept(60)) == synced[:-1]


def test_a_note_is_replaced_by_a_longer_and_a_shorter_one(tmp_path):
    journal = journal_of(remote(), FIRST)
    journal.save(tmp_path / "j")
    for written in ([(0, 50)], [(0, 50), (60, 70), (80, 90)], [(0, 100)], []):
        journal.note(tmp_path / "j", Coverage(written))
        loaded = Journal.load(tmp_path / "j")
        assert (list(loaded.noted), list(loaded.synced)) == (written, FIRST)


def test_a_note_that_is_torn_counts_for_nothing(tmp_path):
    """However much of it came to the disk, and whatever lay there before."""
    noted(tmp_path, [(0, 11), (60, 71)])
    before = (tmp_path / "j").read_bytes()
    noted(tmp_path, [(0, 12), (60, 81), (90, 91)])
    after = (tmp_path / "j").read_bytes()
    found = set()
    for cut in range(before.index(b"\n") + 1, len(after)):
        for rest in (b"", before[cut:], bytes(len(after) - cut)):
            (tmp_path / "j").write_bytes(after[:cut] + rest)
            found.add(str(Journal.load(tmp_path / "j").noted))
    assert found == {"", "0-11,60-71"}


@pytest.mark.parametrize(
    "note",
    [
        b"00000000 0-50\n",
        b"%08x 0-50\n" % zlib.crc32(b"0-60"),
        b"%08x 50-0\n" % zlib.crc32(b"50-0"),
        b"%08x -5-50\n" % zlib.crc32(b"-5-50"),
        b"%08x 0-50" % zlib.crc32(b"0-50"),
        b"\xff" * 50,
    ],
)
def test_a_note_that_makes_no_sense_counts_for_nothing(tmp_path, note):
    journal = journal_of(remote(), FIRST)
    journal.save(tmp_path / "j")
    with (tmp_path / "j").open("ab") as file:
        file.write(note)
    assert Journal.load(tmp_path / "j") == journal


@pytest.mark.parametrize(
    "other",
    [
        lambda journal: journal.doubted(),
        lambda journal: journal.with_synced(Coverage([(0, 60)])),
        lambda journal: dataclasses.replace(journal, etag='"v2"'),
    ],
    ids=["doubted", "later", "another's"],
)
def test_a_note_is_written_after_its_own_line_alone(tmp_path, other):
    journal = journal_of(remote(), FIRST)
    other(journal).save(tmp_path / "j")
    before = (tmp_path / "j").read_bytes()
    journal.note(tmp_path / "j", Coverage([(0, 100)]))
    assert (tmp_path / "j").read_bytes() == before


def test_no_note_counts_where_the_line_above_it_is_in_doubt_or_has_a_writer(tmp_path):
    for changes in ({"boot": ""}, {"boot": "another"}, {"writer": "w"}):
        journal = dataclasses.replace(journal_of(remote(), FIRST), **changes)
        journal.save(tmp_path / "j")
        journal.note(tmp_path / "j", Coverage([(0, 50)]))
        loaded = Journal.load(tmp_path / "j")
        assert (list(loaded.noted), list(loaded.kept(100))) == ([(0, 50)], FIRST)


def test_a_journal_that_is_replaced_has_no_note(tmp_path):
    journal = noted(tmp_path, [(0, 50)])
    journal.with_synced(Coverage(FIRST)).save(tmp_path / "j")
    assert list(Journal.load(tmp_path / "j").kept(100)) == FIRST
    assert list(journal.with_synced(Coverage(FIRST)).kept(100)) == FIRST


def test_one_that_another_program_saves_at_the_same_moment(tmp_path, monkeypatch):
    """The error says so: it came as one that no file can be made there."""
    monkeypatch.setattr(os, "fsync", lambda fd: (tmp_path / "j~").unlink())
    with pytest.raises(OSError, match="another program writes it, too"):
        journal_of(remote()).save(tmp_path / "j")
    assert not list(tmp_path.iterdir())


def test_no_note_is_written_into_what_is_none_of_ours(tmp_path):
    journal = journal_of(remote())
    with pytest.raises(FileNotFoundError):
        journal.note(tmp_path / "j", Coverage([(0, 50)]))
    assert not (tmp_path / "j").exists()
    journal.save(tmp_path / "real")
    (tmp_path / "j").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic link"):
        journal.note(tmp_path / "j", Coverage([(0, 50)]))
    assert Journal.load(tmp_path / "real").noted.size == 0


def test_after_a_crash_of_the_machine_only_what_was_synced(tmp_path, monkeypatch):
    """A note may have come to the disk, and what it tells of not."""
    for journal in (noted(tmp_path, [(0, 70)], FIRST), of_version_2(tmp_path, FIRST)):
        assert list(journal.kept(70)) == [(0, 70)]
        for other in ("another boot", ""):
            with monkeypatch.context() as patch:
                patch.setattr(module, "boot_id", lambda other=other: other)
                assert list(journal.kept(70)) == FIRST
        nowhere = dataclasses.replace(journal, boot="")
        assert list(nowhere.kept(70)) == FIRST
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
    journal = journal_of(remote())
    found = journal.objection(remote(**changes), FILE, proven)
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
    other = remote(url=url)
    assert journal_of(remote()).another_url(other, Identity.of(url), proven) == theirs


def test_what_validates_the_bytes_of_one_mirror_says_nothing_of_another_one():
    """Equal ETags and dates are each host's own matter."""
    first, *mirrors = ("https://h/f", "https://m/f?sig=1", "https://n/f")
    known = Identity.of(first)
    asked = [known, *(dataclasses.replace(known, mirror=str(Identity.of(m))) for m in mirrors)]
    assert [Identity.parse(str(each)).asked for each in asked] == [each.asked for each in asked]
    digest = f'"{"5f" * 16}"'
    for one in asked:
        journal = Journal.parse(Journal.of(remote(), one).record())
        for other in asked:
            assert journal.another_url(remote(), other, False) == ""
            objection = journal.objection(remote(), other, False)
            assert objection == ("" if one is other else f"it is from another mirror, {place(one)}")
            assert journal.objection(remote(), other, True) == ""
            stated = Journal.of(remote(etag=digest), one)
            assert stated.objection(remote(etag=digest), other, False) == ""


def place(identity):
    return identity.asked.place


def test_size_and_date_and_none_of_them():
    assert "had 100 bytes and has 101" in journal_of(remote()).objection(
        remote(size=101), FILE, False
    )
    dated = remote(etag=None)
    assert journal_of(dated).objection(remote(etag=None, last_modified="now"), FILE, False)
    bare = remote(etag=None, last_modified=None)
    assert "no way to tell" in journal_of(bare).objection(bare, FILE, False)
    assert journal_of(bare).objection(bare, FILE, True) == ""


def test_what_proves_nothing_may_show_a_change():
    dated = remote(etag=None, weak_etag='"a"')
    assert journal_of(dated).objection(dated, FILE, False) == ""
    assert "changed" in journal_of(dated).objection(remote(etag=None, weak_etag='"b"'), FILE, True)
    fresh = remote(etag=None, last_modified=None, weak_date="then")
    later = remote(etag=None, last_modified="then")
    assert "no way to tell" in journal_of(fresh).objection(later, FILE, False)
    assert journal_of(fresh).objection(later, FILE, True) == ""


def test_what_an_earlier_version_did_not_note_is_no_difference(tmp_path):
    weak = remote(etag=None, weak_etag='"a"')
    record = record_of(weak, tmp_path)
    for later in ("weak_etag", "weak_date", "media_type"):
        del record[later]
    (tmp_path / "j").write_text(json.dumps(record))
    assert Journal.load(tmp_path / "j").objection(weak, FILE, False) == ""
    assert "changed" in journal_of(weak).objection(remote(etag=None), FILE, False)


@pytest.mark.parametrize(
    "nonsense",
    [
        *({"synced": synced} for synced in (None, 9, "9", "9-5", ["0-5"], True)),
        {"size": "100"},
        {"size": -1},
        {"etag": ["v1"]},
        {"boot": None},
        {"identity": {}},
        {"identity": None},
    ],
)
def test_a_journal_that_makes_no_sense_counts_as_none(tmp_path, nonsense):
    record = record_of(remote(), tmp_path)
    (tmp_path / "j").write_text(json.dumps({**record, **nonsense}))
    assert Journal.load(tmp_path / "j") is None


@pytest.mark.parametrize(
    "nonsense", [*({"synced": n} for n in (None, 1.5, -5, "9", True)), {"url": {}}, {"query": None}]
)
def test_nor_does_one_of_the_first_version(tmp_path, nonsense):
    (tmp_path / "j").write_text(json.dumps({**json.loads(VERSION_1), **nonsense}))
    assert Journal.load(tmp_path / "j") is None


def test_a_huge_one_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 100)
    journal_of(remote()).save(tmp_path / "j")
    assert Journal.load(tmp_path / "j") is None


def test_what_lies_under_its_name_is_not_followed(tmp_path):
    """Nor is what lies where it is made: whoever may write here could have put it there."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "j~").symlink_to(tmp_path / "precious")
    journal_of(remote()).save(tmp_path / "j")
    assert (tmp_path / "precious").read_text() == "precious"
    assert Journal.load(tmp_path / "j") is not None
    (tmp_path / "link").symlink_to(tmp_path / "j")
    assert Journal.load(tmp_path / "link") is None
    os.mkfifo(tmp_path / "pipe")
    assert Journal.load(tmp_path / "pipe") is None


def test_while_it_is_in_doubt_what_was_written_does_not_count(tmp_path):
    for journal in (noted(tmp_path, [(0, 70)], FIRST), of_version_2(tmp_path, FIRST)):
        assert list(journal.doubted().kept(70)) == FIRST
        assert list(journal.doubted().with_synced(Coverage([(0, 60)])).kept(70)) == [(0, 60)]


@pytest.mark.parametrize("url", ["https://h/f?id=1", "https://mirror/g"])
def test_a_digest_for_an_etag_names_the_file_whatever_the_url(url):
    def another(etag, size=100):
        old, new = remote(etag=etag, url=url), remote(etag=etag, size=size)
        return journal_of(old).another_url(new, Identity.of(new.url), False)

    assert another('"0123456789abcdef0123456789ABCDEF-12"') == ""
    assert another('"0123456789abcdef0123456789ABCDEF-12"', 101)
    # Two files of a server may well have these in common.
    for etag in ('"v1"', '"5f3b-64e1"', None):
        assert another(etag)
