"""Metalinks, read: both versions, and what strangers put into them."""

import hashlib
import sys

import pytest

from raydl.many import metalink as module
from raydl.many.lists import Unreadable, all_of, read_list
from raydl.many.metalink import parse
from raydl.model.errors import UsageError
from raydl.model.item import Item
from tests.conftest import run_raydl
from tests.metalinks import V3, digests_of, file_of, metalink, pieces_of

DATA = bytes(range(250)) * 4
URL = "http://h/f.iso"


def only(data):
    (file,) = parse(data).files
    if isinstance(file, UsageError):
        raise file
    return file


def test_all_that_a_file_has():
    more = f'<hash type="md5">{"0" * 32}</hash><hash type="sha-384">x</hash><metaurl>t</metaurl>'
    text = file_of(DATA, [URL, "https://m/f"], name="a/f.iso", length=300, more=more)
    file = only(metalink(text))
    assert (file.url, file.mirrors, file.path) == (URL, ("https://m/f",), "a/f.iso")
    assert (file.size, file.digest.hex) == (1000, hashlib.sha256(DATA).hexdigest())
    assert (file.pieces.algorithm, file.pieces.length, file.pieces.count) == ("sha1", 300, 4)
    assert file.pieces.bounds(3) == (900, 1000)
    assert file.pieces.is_right(3, memoryview(DATA)[900:])
    assert not file.pieces.is_right(2, memoryview(DATA)[900:])


def test_version_3():
    hashes = digests_of(DATA, 400, "md5")
    numbered = "".join(f'<hash piece="{n}">{hashes[n]}</hash>' for n in (2, 0, 1))
    text = f"""<metalink version="3.0" xmlns="{V3}"><files><file name="f"><size> 1000 </size>
      <verification><hash type="sha1">{hashlib.sha1(DATA).hexdigest()}</hash>
      <pieces length="400" type="md5">{numbered}</pieces></verification>
      <resources><url type="http" preference="10">http://b/f</url>
      <url type="ftp" preference="99">ftp://c/f</url>
      <url type="http" preference="100" location="de">http://a/f</url>
      <url type="bittorrent">http://d/f.torrent</url></resources></file></files></metalink>"""
    found = parse(text.encode())
    (file,) = found.files
    assert (file.url, file.mirrors) == ("http://a/f", ("http://b/f",))
    assert file.digest.algorithm == "sha1"
    assert all(file.pieces.is_right(n, memoryview(DATA)[400 * n :][:400]) for n in range(3))
    assert found.notes == ["f: left out 2 URLs that http does not fetch"]


def test_the_best_pieces_and_urls_count():
    more = pieces_of(["0" * 32] * 2, 500, "md5") + pieces_of(digests_of(DATA, 500, "sha256"), 500,
                                                             "sha-256")  # fmt: skip
    urls = "".join(f'<url priority="{n}">http://h/{n}</url>' for n in range(200, 0, -1))
    text = f"<file name='f'><size>1000</size>{more}<url>http://last/</url>{urls}</file>"
    file = only(metalink(text))
    assert file.pieces.algorithm == "sha256"
    assert file.url == "http://h/1"
    assert file.mirrors == tuple(f"http://h/{n}" for n in range(2, module.MOST_URLS + 1))


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/../../x", "", "raydl.toml", "x.part", "a\\b"]
)
def test_no_name_leaves_the_directory(name):
    (bad, good) = parse(metalink(file_of(DATA, [URL], name=name), file_of(DATA, [URL]))).files
    assert isinstance(bad, UsageError)
    assert good.path == "f.iso"


BAD = {
    "1000 bytes in pieces of 300 are 4, and there are 3 digests":
        pieces_of(digests_of(DATA, 300)[:3], 300),
    "1000 bytes in pieces of 300 are 4, and there are 5 digests":
        pieces_of([*digests_of(DATA, 300), "0" * 40], 300),
    "pieces of 0 bytes are none": pieces_of(["0" * 40], 0),
    "the digest of a piece is not hexadecimal": pieces_of(["z" * 40], 1000),
    "the sha1 of a piece has 40 hex digits": pieces_of(["0" * 32], 1000),
    "a sha256 digest has 64 hex digits": '<hash type="sha-256">12</hash>',
}  # fmt: skip


@pytest.mark.parametrize("why", BAD)
def test_what_cannot_be_is_said(why):
    (bad, good) = parse(metalink(file_of(DATA, [URL], whole=False, more=BAD[why]),
                                 file_of(DATA, [URL]))).files  # fmt: skip
    assert why in bad.message
    assert bad.message.startswith("f.iso: ")
    assert isinstance(good, Item)


@pytest.mark.parametrize("size", ["-1", "1e3", "x", "9" * 30, "²"])
def test_a_size_that_is_none(size):
    with pytest.raises(UsageError, match="its size is no number"):
        only(metalink(file_of(DATA, [URL], size=size)))


def test_pieces_without_a_size_count_for_nothing():
    text = f"<file name='f'>{pieces_of(digests_of(DATA, 500), 500)}<url>{URL}</url></file>"
    found = parse(metalink(text))
    assert found.files[0].pieces is None
    assert found.notes == ["f: without the size of the file its pieces count for nothing"]


def test_urls_that_cannot_be_fetched():
    urls = ["ftp://u:secret@h/f", "http://[", "javascript:x", "http:///f", "http://h/a\x85b"]
    with pytest.raises(UsageError, match="no http or https URL"):
        only(metalink(file_of(DATA, urls)))
    found = parse(metalink(file_of(DATA, [*urls, URL])))
    assert found.files[0].url == URL
    assert "secret" not in str(found)


BOMB = """<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">%s]>
<metalink xmlns="urn:ietf:params:xml:ns:metalink"><file name="&z;"/></metalink>"""
LEVELS = "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(25)
)  # fmt: skip


@pytest.mark.parametrize("data", [
    BOMB % LEVELS, BOMB % '<!ENTITY z SYSTEM "file:///etc/passwd">',
    '<!DOCTYPE m SYSTEM "http://127.0.0.1:1/d"><metalink/>',
])  # fmt: skip
def test_nothing_is_expanded_or_looked_up(data):
    with pytest.raises(UsageError, match="defines entities"):
        parse(data.encode())


@pytest.mark.parametrize("data", [
    b"", b"\0" * 100, b"<metalink", b"<a/>", b"<html/>", b"<metalink><files/></metalink>",
    b"<?xml version='1.0' encoding='x-none'?><metalink/>", metalink(),
    b"<a>" * 100_000 + b"</a>" * 100_000,
])  # fmt: skip
def test_what_is_no_metalink(data):
    with pytest.raises(UsageError):
        parse(data)


def test_a_metalink_is_bounded(tmp_path):
    path = tmp_path / "f.meta4"
    path.write_bytes(metalink(file_of(DATA, [URL])) + b" " * module.LARGEST)
    with pytest.raises(UsageError, match="not larger than 16 MiB"):
        list(read_list(str(path)))


MANY = "".join(f"a{n}='' " for n in range(1_100_000))


@pytest.mark.parametrize(
    "body",
    ["<file/>" * 20_000, "<a/>" * 2_000_000, f"<a {MANY}/>"],
    ids=["files", "elements", "attributes"],
)
def test_what_takes_much_memory_is_refused(body):
    with pytest.raises(UsageError, match="a Metalink has no"):
        parse(metalink(body))


def test_ten_million_pieces_are_no_metalink():
    digests = b"<hash>0000</hash>" * 10_000_000
    with pytest.raises(UsageError, match="not larger than"):
        parse(digests)


def test_as_many_pieces_as_there_can_be():
    count = 290_000
    hashes = digests_of(DATA, 1)[:1] * count
    more = pieces_of(hashes, 1)
    file = only(metalink(file_of(DATA[:1] * 4, [URL], more=more, whole=False, size=count)))
    assert file.pieces.count == count
    assert file.pieces.is_right(count - 1, memoryview(DATA)[:1])


def test_a_list_by_its_ending(tmp_path):
    good, bad = file_of(DATA, [URL]), file_of(DATA, ["ftp://h/f"])
    told = []
    (tmp_path / "f.meta4").write_bytes(metalink(bad, good, file_of(DATA, ["ftp://h/f", URL])))
    found = list(all_of(["http://x/y"], [str(tmp_path / "f.meta4")], None, tell=told.append))
    assert [entry.number for entry in found] == [1, 2, 3, 4]
    assert [type(entry) for entry in found] == [Item, Unreadable, Item, Item]
    assert len(told) == 1
    with pytest.raises(UsageError, match="No such file"):
        list(read_list(str(tmp_path / "none.metalink")))


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "defusedxml", None)
    with pytest.raises(UsageError, match="need a library; pip install defusedxml"):
        parse(metalink(file_of(DATA, [URL])))


def test_the_command_line_fetches_it_and_says_what_is_left_out(make_origin, tmp_path):
    origin = make_origin(DATA)
    text = file_of(DATA, ["ftp://h/f", origin.url()]) + file_of(DATA, [URL], name="../x")
    (tmp_path / "l.meta4").write_bytes(metalink(text))
    ran = run_raydl("fetch", "-i", "l.meta4", "--output-dir", "d", "--progress", "plain",
                    "--address", "none", cwd=tmp_path)  # fmt: skip
    assert ran.returncode == 11
    assert ran.stderr.count("f.iso: left out 1 URL that http does not fetch") == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == DATA
