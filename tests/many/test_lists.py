"""Lists of files, whoever wrote them."""

import io
import itertools
import json
import sys

import pytest

from raydl.many.lists import LONGEST_LINE, Unreadable, all_of, entries, read_list
from raydl.model.errors import UsageError
from raydl.model.item import Item

MD5 = "0" * 32


def items(path, base=None):
    return list(read_list(str(path), base))


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def reasons(found):
    return [entry.why.message for entry in found if isinstance(entry, Unreadable)]


def test_a_url_a_line(tmp_path):
    text = f"http://h/a\n\n# what is this\n  http://h/b \nhttp://h/c\tx/y\tmd5:{MD5}\r\n"
    found = items(written(tmp_path, "list.txt", text))
    assert [(item.number, item.url, item.path) for item in found] == [
        (1, "http://h/a", None),
        (4, "http://h/b", None),
        (5, "http://h/c", "x/y"),
    ]
    assert str(found[2].digest) == f"md5:{MD5}"


def test_a_digest_without_a_name_is_known_by_its_length(tmp_path):
    (item,) = items(written(tmp_path, "list", f"http://h/c\t\t{MD5}"))
    assert (item.path, str(item.digest)) == (None, f"md5:{MD5}")


def test_json_lines(tmp_path):
    rows = [{"url": "http://h/a", "size": 3, "path": "b", "other": 1}, "http://h/c", [1], {"a": 1}]
    text = "\n".join(map(json.dumps, rows)) + "\n{\n" + "[" * 10_000
    found = items(written(tmp_path, "list.jsonl", text))
    assert found[0] == Item("http://h/a", "b", 3, None, 1)
    assert found[1].url == "http://h/c"
    assert reasons(found) == [
        "line 3 names no file: it has no url",
        "line 4 names no file: it has no url",
        "line 5 names no file: it is no JSON",
        "line 6 names no file: it is no JSON",
    ]


def test_a_table(tmp_path):
    text = 'Path,URL,digest\n"a,b",http://h/a,\nc,http://h/c,' + MD5 + '\n"x\n'
    found = items(written(tmp_path, "list.csv", text))
    assert [(i.path, i.url) for i in found[:2]] == [("a,b", "http://h/a"), ("c", "http://h/c")]
    assert found[1].digest.hex == MD5
    assert len(reasons(found)) == 1


def test_a_table_without_urls(tmp_path):
    with pytest.raises(UsageError, match="no column url, but a, b"):
        items(written(tmp_path, "list.csv", "a,b\n1,2\n"))


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = {"url": ["http://h/a", "bad"], "size": [3, None], "digest": [None, MD5]}
    write_table(pyarrow.table(table), tmp_path / "list.parquet")
    found = items(tmp_path / "list.parquet")
    assert found[0] == Item("http://h/a", None, 3, None, 1)
    assert isinstance(found[1], Unreadable)
    with pytest.raises(UsageError, match="cannot be read"):
        items(written(tmp_path, "bad.parquet", b"PAR1"))


def test_a_list_of_digests(tmp_path):
    text = f"{MD5}  a b.bin\n{MD5} *./sub/c\nMD5 (d) = {MD5}\nnonsense\n# none\n"
    found = items(written(tmp_path, "MD5SUMS", text), "http://h/pub/")
    assert [(i.url, i.path) for i in found[:3]] == [
        ("http://h/pub/a%20b.bin", "a b.bin"),
        ("http://h/pub/sub/c", "sub/c"),
        ("http://h/pub/d", "d"),
    ]
    assert reasons(found) == ["line 4 names no file: it has no digest and name"]


def test_a_list_of_digests_without_a_place_for_its_names(tmp_path):
    with pytest.raises(UsageError, match=r"--base URL|base="):
        items(written(tmp_path, "SHA256SUMS", f"{'ab' * 32}  f.iso\n"))


def test_a_list_at_a_url_is_not_fetched():
    with pytest.raises(UsageError, match=r"https://h/l\?… cannot be read.*pipe it in"):
        list(read_list("https://h/l?key=hunter2"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"http://h/" + b"a" * LONGEST_LINE, "longer than"),
        (b"http://h/\x00", "control characters"),
        (b"http://h/\x1b[2J", "control characters"),
        (b"http://h/\xff", "no UTF-8"),
        (b"ftp://h/f", "ftp is not supported"),
        (b"http://user:secret@", "no host"),
        (b"http://h/a\tb\tsha256:12", "64 hex digits"),
        (b"http://h/a\tb\tc\td", "no file to fetch"),
    ],
)
def test_what_names_no_file_is_told_and_the_others_go_on(tmp_path, line, why):
    path = written(tmp_path, "list", b"http://h/a\n" + line + b"\nhttp://h/b\n")
    first, bad, last = items(path)
    assert (first.url, last.url, last.number) == ("http://h/a", "http://h/b", 3)
    assert why in str(bad.why)
    assert "secret" not in str(bad.why)


def test_a_line_without_end_takes_no_memory():
    class Endless(io.RawIOBase):
        left = 200 << 20

        def readable(self):
            return True

        def readinto(self, buffer):
            size = min(len(buffer), self.left)
            buffer[:size] = b"a" * size
            self.left -= size
            return size

    stream = io.BufferedReader(Endless())
    before = sys.stdin
    sys.stdin = io.TextIOWrapper(stream)
    try:
        (bad,) = read_list("-")
    finally:
        sys.stdin = before
    assert "longer than 64 KiB" in bad.why.message


def test_what_a_program_gives():
    found = list(
        entries(["http://h/a", ("http://h/b", "c"), {"url": "http://h/d", "size": "7"}, 5])
    )
    assert [(i.number, i.url, i.path, i.size) for i in found[:3]] == [
        (1, "http://h/a", None, None),
        (2, "http://h/b", "c", None),
        (3, "http://h/d", None, 7),
    ]
    assert "int is no file to fetch" in found[3].why.message


@pytest.mark.parametrize("value", ["http://h/\ud800", {"url": "http://h/", "path": "\ud800"}])
def test_half_a_character(value):
    with pytest.raises(UsageError):
        Item.of(value)


@pytest.mark.parametrize("size", [-1, "x", 1.5, True, float("nan")])
def test_sizes_that_are_none(size):
    with pytest.raises(UsageError, match="a size is a number of bytes"):
        Item.of({"url": "http://h/a", "size": size})


def test_a_list_is_read_as_it_is_needed():
    endless = ({"url": f"http://h/{number}"} for number in itertools.count())
    assert [item.number for item in itertools.islice(entries(endless), 3)] == [1, 2, 3]


def test_urls_and_lists_have_one_number_after_the_other(tmp_path):
    path = written(tmp_path, "list", "http://h/b\nbad\nhttp://h/c\n")
    found = list(all_of(["http://h/a"], [str(path), str(path)], None))
    assert [entry.number for entry in found if isinstance(entry, Item)] == [1, 2, 4, 5, 7]


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match=r"the list .*no cannot be read: No such file"):
        items(tmp_path / "no")
