"""What a paste is taken for."""

import pytest

from raydl.gui.names import checked, is_list, is_many, look_through, names_in, wanted
from raydl.many.names import SameNameError
from raydl.model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        (" https://h/a \n", ["https://h/a"]),
        (
            "https://h/a\nhttps://h/b\r\n\nhttps://h/c",
            ["https://h/a", "https://h/b", "https://h/c"],
        ),
        ("https://h/a\thttps://h/b  hf://org/m", ["https://h/a", "https://h/b", "hf://org/m"]),
        ("/no/such dir/list.txt", ["/no/such dir/list.txt"]),
        ("file:///a%20b/list.csv", ["/a b/list.csv"]),
        ("example.org/list.txt", ["example.org/list.txt"]),
    ],
)
def test_names_are_lines_and_words(text, names):
    assert names_in(text) == names


def test_a_path_with_blanks_that_is_there_is_one_name(tmp_path, monkeypatch):
    (tmp_path / "my list").write_text("https://h/a")
    monkeypatch.chdir(tmp_path)
    assert names_in("my list") == ["my list"]
    assert checked(["my list"]) == [str(tmp_path / "my list")]
    assert names_in("your list") == ["your", "list"]


@pytest.mark.parametrize(
    ("name", "of_list", "of_many"),
    [
        ("https://h/list.txt", False, False),
        ("hf://org/model", False, True),
        ("list.txt", True, True),
        ("C:\\list.txt", True, True),
        ("~/urls", True, True),
        ("host.example/list.txt", False, False),
        ("big.iso", False, False),
    ],
)
def test_what_a_name_is(name, of_list, of_many):
    assert is_list(name) == of_list
    assert is_many([name]) == of_many


def test_they_are_told_apart():
    found = wanted(["https://h/a", "/l.txt", "hf://org/m"])
    assert found.urls == ["https://h/a", "hf://org/m"]
    assert found.lists == ["/l.txt"]


@pytest.mark.parametrize("name", ["big.iso", "ftp://h/f", "hf://model", "user:word@h/f"])
def test_what_is_none_is_told(name):
    with pytest.raises(UsageError) as raised:
        checked(["https://h/a", name])
    assert "word" not in raised.value.message


def test_lists_are_read_before(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("https://h/b\nhttps://h/c\n")
    names = ["https://h/a", str(listed)]
    assert look_through(names, "/d/", {}, "") == (names, 3)
    assert look_through([*names, "hf://org/m"], "/d/", {}, "")[1] is None
    listed.write_text("https://h/x/a\n")
    with pytest.raises(SameNameError):
        look_through(names, "/d/", {}, "")
    assert look_through(names, "/d/", {}, "{number}-{name}")[1] == 2
    with pytest.raises(UsageError, match="cannot be read"):
        look_through([str(tmp_path / "none.txt")], "/d/", {}, "")
    with pytest.raises(UsageError, match="for one file"):
        look_through(names, "/d/", {"checksum": "md5:" + "0" * 32}, "")
    with pytest.raises(UsageError, match="absolute path"):
        look_through(names, "here/", {"to": "every-node"}, "")
    assert look_through(["hf://org/m"], "", {"to": "every-node"}, "")[1] is None
