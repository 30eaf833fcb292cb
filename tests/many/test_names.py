"""Names of many files: none leaves its directory, and no two are one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl.many.names import Naming, checked, must_differ
from raydl.model.errors import UsageError
from raydl.model.item import Item


def name(url, template=None, **fields):
    return Naming(template).path(Item(url, **fields))


@pytest.mark.parametrize(
    ("url", "template", "path"),
    [
        ("http://h/a/b.bin?token=1", None, "b.bin"),
        ("http://h/", None, "download"),
        ("http://h/..%2f..%2fetc%2fpasswd", None, "passwd"),
        ("http://u:p@h:81/a/b", "{host}/{path}", "h_81/a/b"),
        ("http://h/../../x", "{path}", "x"),
        ("http://h/", "{host}/{path}", "h/index"),
        ("http://h/b", "{number:6}-{name}", "000007-b"),
        ("http://h/b", "{number}.bin", "7.bin"),
    ],
)
def test_names(url, template, path):
    assert name(url, template, number=7) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../up", "a/../../b", "a//b", "a/./b", "a\0b", "a\nb", "x" * 300,
        "a/" * 70 + "b", "f.part", "raydl.toml", "-rf", "a\\..\\b", ".raydl-files",
    ],
)  # fmt: skip
def test_paths_that_are_none(path):
    with pytest.raises(UsageError):
        checked(path)


@pytest.mark.parametrize("path", ["a", "a/b.c", "ä/ö", "a b", "a" * 200, ".hidden"])
def test_paths(path):
    assert checked(path) == path


@given(st.text(max_size=40))
def test_no_path_leaves_the_directory(text):
    try:
        path = checked(text)
    except UsageError:
        return
    assert path == text
    assert not path.startswith("/")
    assert ".." not in path.split("/")


@given(st.text(max_size=40))
def test_nor_does_any_url(text):
    path = name(f"http://h/{text}", "{host}/{path}")
    assert path == checked(path)


@pytest.mark.parametrize("template", ["x", "{no}", "{name:3}", "{", "{number", "", "{number:x}"])
def test_templates_that_are_none(template):
    with pytest.raises(UsageError, match="name="):
        Naming(template)


def test_two_files_of_one_name():
    items = [Item(f"http://h/{n}/f", number=n + 1) for n in range(3)] + [Item("http://h/0/g")]
    with pytest.raises(UsageError, match="f would be the name of 3 files, number 1 and 2 of the"):
        must_differ(lambda: iter(items), Naming())
    must_differ(lambda: iter(items), Naming("{path}"))


def test_one_file_twice_is_one():
    must_differ(lambda: iter([Item("http://h/f"), Item("http://h/f")]), Naming())


def test_hidden_names_need_a_directory():
    assert Naming().path(Item("http://h/f", ".a/b")) == ".a/b"
    with pytest.raises(UsageError, match="hidden name, and no directory"):
        Naming(hidden=False).path(Item("http://h/f", ".a/b"))
