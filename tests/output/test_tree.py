"""A directory that appears whole, and what is in archives that want out of it."""

import contextlib
import errno
import os
import random
import shutil
import tarfile
from contextlib import closing

import pytest

from raydl.model.errors import BusyError, OutputError, TargetError, UsageError, WrongAnswerError
from raydl.output import partfile, tree
from raydl.output.tree import Tree, check_filter
from tests.output.archives import entry, folder, hardlink, listing, symlink, tar_of, unpack

DEVICE = {"devmajor": 1, "devminor": 3}


@pytest.fixture
def home(tmp_path):
    (tmp_path / "secret").write_text("mine")
    home = tmp_path / "home"
    home.mkdir()
    return home


def refused(home, *entries, match=""):
    with pytest.raises(WrongAnswerError, match=match):
        unpack(tar_of(*entries), home / "out")
    assert os.listdir(home) == []
    assert (home.parent / "secret").read_text() == "mine"
    assert sorted(os.listdir(home.parent)) == ["home", "secret"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "../secret", "a/..", "..", "a/../b", "", "."]
)
def test_names_that_lead_out(home, name):
    refused(home, folder("a"), entry(name, b"x"), match="leads out|is no name")


def test_slashes_before_a_name_are_dropped(home):
    unpack(tar_of(entry("/etc/x", b"x")), home / "out")
    assert listing(home / "out") == {"etc": None, "etc/x": b"x"}


@pytest.mark.parametrize("link", ["/etc/passwd", "../secret", "..", "a/../..", "a/../../secret"])
@pytest.mark.parametrize("kind", [symlink, hardlink])
def test_links_that_lead_out(home, kind, link):
    refused(home, kind("l", link), match="is a link out|leads out")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"])
def test_devices(home, kind):
    refused(home, entry("dev", kind=kind, **DEVICE), match="'dev' is neither")


def test_nothing_is_written_through_a_link(home):
    refused(home, folder("d"), symlink("l", "d"), entry("l/x", b"x"), match="'l/x' leads through")


def test_a_link_to_come_does_not_turn_one_that_was_good(home):
    """`y` would lead out, once `x` is a link."""
    unpack(tar_of(symlink("y", "x/../secret"), symlink("x", ".")), home / "out")
    assert os.readlink(home / "out/y") == "secret"
    assert not (home / "out/y").exists()


def test_a_link_that_is_linked_elsewhere_is_looked_at_again(home):
    entries = (folder("a/b"), symlink("a/b/l", "../../f"), entry("f", b"x"))
    refused(home, *entries, hardlink("l", "a/b/l"), match="'l' is a link out")
    unpack(tar_of(*entries, hardlink("a/b/m", "a/b/l")), home / "out")
    assert os.readlink(home / "out/a/b/m") == "../../f"


@pytest.mark.parametrize("name", ["l/", "l//", "./l/", "l/."])
def test_a_link_with_a_slash_at_its_end_is_no_deeper(home, name):
    refused(home, symlink(name, ".."), match="'l' is a link out")


NAMES = [
    "a",
    "b",
    "a/b",
    "a/c",
    "b/a",
    "a/b/c",
    "./a",
    "a/",
    "..",
    "a/..",
    "../x",
    "/a",
    "c",
    "a//b",
]
LINKS = ["a", "b", ".", "..", "a/..", "../a", "b/../..", "a/b", "../..", "/etc", "x/../..", "c", ""]
MAKERS = [
    lambda name, link: entry(name, b"x"),
    lambda name, link: folder(name),
    symlink,
    hardlink,
]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_in_an_archive_nothing_gets_out(home, seed):
    chance, target = random.Random(seed), home / "out"
    for _ in range(100):
        entries = [
            chance.choice(MAKERS)(chance.choice(NAMES), chance.choice(LINKS))
            for _ in range(chance.randrange(1, 7))
        ]
        with contextlib.suppress(WrongAnswerError):
            unpack(tar_of(*entries), target)
        assert sorted(os.listdir(home.parent)) == ["home", "secret"]
        assert set(os.listdir(home)) <= {"out"}
        for path in home.rglob("*"):
            assert os.path.commonpath([target, os.path.realpath(path)]) == str(target), entries
        shutil.rmtree(target, ignore_errors=True)


def test_hard_links_to_nothing_and_to_directories(home):
    refused(home, hardlink("l", "missing"), match="to no file before it")
    refused(home, folder("d"), hardlink("l", "d"), match="to no file before it")


def test_a_hard_link_through_a_link(home):
    refused(home, entry("d/f"), symlink("s", "d"), hardlink("l", "s/f"), match="leads through")


def test_the_later_one_replaces_the_earlier(home):
    unpack(
        tar_of(
            entry("f", b"old"), hardlink("same", "f"), entry("f", b"new"),
            entry("g", b"kept"), symlink("l", "g"), entry("l", b"a file"),
            symlink("d", "."), folder("d"), entry("d/x", b"x"), entry("h"), hardlink("h", "h"),
        ),
        home / "out",
    )  # fmt: skip
    assert listing(home / "out") == {
        "f": b"new", "same": b"old", "g": b"kept", "l": b"a file", "d": None, "d/x": b"x", "h": b"",
    }  # fmt: skip


def test_a_file_in_place_of_a_directory(home):
    refused(home, folder("d"), entry("d", b"x"), match="'d' is a directory, too")


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_names_that_no_file_has(home, name):
    refused(home, entry("f", b"", pax_headers={"path": name}), match="is no name|does not fit")


def test_a_huge_hole_is_no_bytes(home):
    """A map of one byte, terabytes from the beginning: the file system judges it."""
    fields = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "f",
              "GNU.sparse.size": str(1 << 62), "GNU.sparse.numblocks": "1",
              "GNU.sparse.map": f"{(1 << 62) - 1},1"}  # fmt: skip
    with pytest.raises((OutputError, WrongAnswerError)):
        unpack(tar_of(entry("f", b"x", pax_headers=fields)), home / "out")
    assert os.listdir(home) == []


def test_deep_links_that_no_path_reaches(home):
    """Once realpath gives up at a path's longest length, filters of older Pythons let links out."""
    deep, entries, at = "d" * 200, [], ""
    for letter in "abcdefghijklmnopqrstuv":
        entries += [folder(f"{at}{deep}"), symlink(f"{at}{letter}", deep)]
        at += f"{letter}/"
    refused(home, *entries, symlink("out", at + "../" * 30 + "secret"), match="through|out")


def test_permissions_and_times(home):
    unpack(
        tar_of(entry("f", mode=0o6777, mtime=5), entry("g", mode=0), entry("h", mtime=1e300)),
        home / "out",
    )
    assert (home / "out/f").stat().st_mode & 0o7777 == 0o755
    assert (home / "out/f").stat().st_mtime == 5
    assert (home / "out/g").stat().st_mode & 0o7777 == 0o600


def test_a_python_without_filters(monkeypatch):
    check_filter()
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(UsageError, match=r"3\.11\.4"):
        check_filter()


def put(made, *entries):
    for member, data in entries:
        made.put(member, iter([(0, data)]))


def test_it_appears_when_it_is_published(home):
    with closing(Tree(home / "out", False)) as made:
        put(made, entry("f", b"x"))
        assert os.listdir(home) == [".out.part"]
        assert (home / ".out.part").stat().st_mode & 0o777 == 0o700
        made.publish()
        assert (home / "out").is_dir()
    assert os.listdir(home) == ["out"]


def test_one_at_a_time(home):
    with closing(Tree(home / "out", False)), pytest.raises(BusyError, match="another raydl"):
        Tree(home / "out", False)
    Tree(home / "out", False).close()
    assert os.listdir(home) == []


def test_what_a_killed_run_left_goes(home):
    killed = Tree(home / "out", False)
    put(killed, entry("a/f", b"x"))
    os.close(killed._lock)  # as the system does
    with closing(Tree(home / "out", False)) as made:
        assert len(list((home / ".out.part").iterdir())) == 2  # the lock and ours
        put(made, entry("g", b"y"))
        made.publish()
    assert listing(home / "out") == {"g": b"y"}
    assert os.listdir(home) == ["out"]


def test_two_runs_where_locks_say_yes_to_everybody(home, monkeypatch):
    """The first one finds that its directory is gone; what it writes goes nowhere."""
    monkeypatch.setattr(tree, "lock_file", lambda fd: True)
    first = Tree(home / "out", False)
    put(first, entry("a/f", b"first"))
    second = Tree(home / "out", False)
    put(second, entry("a/f", b"second"))
    with pytest.raises(OutputError):
        put(first, entry("a/g", b"first"))
    with pytest.raises(OutputError, match="changed by someone else"):
        first.publish()
    second.publish()
    second.close()
    first.close()
    assert listing(home / "out") == {"a": None, "a/f": b"second"}


@pytest.mark.parametrize("what", ["file", "link", "full", "another's"])
def test_what_is_none_of_ours_stays(home, what):
    there = home / ".out.part"
    if what == "file":
        there.write_text("mine")
    elif what == "link":
        there.symlink_to(home.parent)
    else:
        there.mkdir()
        (there / ("mine" if what == "full" else "lock")).touch()
    if what == "another's":
        if os.geteuid():
            pytest.skip("only root can give it to another user")
        os.chown(there, 1, 1)
    before = sorted(home.rglob("*"))
    with pytest.raises(TargetError, match="is none of raydl's"):
        Tree(home / "out", False)
    assert sorted(home.rglob("*")) == before
    assert sorted(os.listdir(home.parent)) == ["home", "secret"]


def test_an_empty_one_was_just_made(home):
    (home / ".out.part").mkdir(0o700)
    Tree(home / "out", False).close()
    assert os.listdir(home) == []


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("what", ["a file", "a directory"])
def test_what_came_meanwhile_stays(home, monkeypatch, what, links):
    if not links:
        monkeypatch.setattr(partfile, "_rename", not_offered)
    with closing(Tree(home / "out", False)) as made:
        put(made, entry("f", b"x"))
        if what == "a file":
            (home / "out").write_text("mine")
        else:
            (home / "out").mkdir()
        with pytest.raises(TargetError, match="come into being meanwhile"):
            made.publish()
    assert os.listdir(home) == ["out"]
    assert (home / "out").is_file() or os.listdir(home / "out") == []


def not_offered(*args):
    raise OSError(errno.EINVAL, "Invalid argument")


def test_no_renameat2(home, monkeypatch):
    monkeypatch.setattr(partfile, "_rename", not_offered)
    unpack(tar_of(entry("f", b"x")), home / "out")
    assert listing(home / "out") == {"f": b"x"}


@pytest.mark.parametrize("at_once", [True, False])
def test_overwrite(home, monkeypatch, at_once):
    if not at_once:
        monkeypatch.setattr(partfile, "_rename", not_offered)
    (home / "out/old").mkdir(parents=True)
    (home / "out").chmod(0o710)
    with closing(Tree(home / "out", True)) as made:
        put(made, entry("f", b"x"))
        assert listing(home / "out") == {"old": None}
        made.publish()
    assert listing(home / "out") == {"f": b"x"}
    assert (home / "out").stat().st_mode & 0o777 == 0o710
    assert os.listdir(home) == ["out"]


def test_killed_between_two_renames(home, monkeypatch):
    """What was there gets its name back from the next run."""
    monkeypatch.setattr(partfile, "_rename", not_offered)
    (home / "out/old").mkdir(parents=True)
    killed = Tree(home / "out", True)
    put(killed, entry("f", b"x"))
    (home / "out").rename(killed._old)
    os.close(killed._lock)
    with closing(Tree(home / "out", True)):
        assert listing(home / "out") == {"old": None}
    assert os.listdir(home) == ["out"]


def test_interrupted_between_two_renames(home, monkeypatch):
    monkeypatch.setattr(partfile, "_rename", not_offered)
    (home / "out/old").mkdir(parents=True)
    with closing(Tree(home / "out", True)) as made:
        made._target.rename(made._old)
    assert listing(home / "out") == {"old": None}
    assert os.listdir(home) == ["out"]


def test_overwrite_replaces_no_file(home):
    (home / "out").write_text("mine")
    with (
        closing(Tree(home / "out", True)) as made,
        pytest.raises(OutputError, match="no directory"),
    ):
        made.publish()
    assert (home / "out").read_text() == "mine"


def test_a_full_disk(home, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tree, "_write", full)
    with pytest.raises(OutputError, match=r"the disk is full; free some space"):
        unpack(tar_of(entry("f", b"x")), home / "out")
    assert os.listdir(home) == []


def test_no_directory_to_be_in(home):
    with pytest.raises(OutputError):
        Tree(home / "missing" / "out", False)


def test_it_may_be_removed_by_somebody(home):
    with closing(Tree(home / "out", False)) as made:
        shutil.rmtree(home / ".out.part")
        with pytest.raises(OutputError):
            made.publish()
    assert os.listdir(home) == []
