"""Through fsspec: chained URLs, info, ranges, compression."""

import errno
import gzip
import io

import pytest

import raydl
from tests.conftest import random_bytes
from tests.scripted import anything, status

fsspec = pytest.importorskip("fsspec")

ALONE = {"address": "none"}


def test_opening(origin):
    for url in (f"raydl://{origin.url()}", f"raydl::{origin.url()}"):
        with fsspec.open(url, **({"raydl": ALONE} if "::" in url else ALONE)) as file:
            assert file.read(10) == origin.data[:10]
            file.seek(-10, 2)
            assert file.read() == origin.data[-10:]


def test_compression_and_text(make_origin):
    origin = make_origin(gzip.compress(b"a,b\n1,2\n"))
    with fsspec.open(f"raydl://{origin.url()}", "rt", compression="gzip", **ALONE) as file:
        assert file.readlines() == ["a,b\n", "1,2\n"]


def test_the_file_system(origin):
    files = fsspec.filesystem("raydl", **ALONE)
    url = origin.url()
    assert files.info(url)["size"] == len(origin.data)
    assert files.size(url) == len(origin.data)
    assert files.exists(url)
    assert files.isfile(url)
    assert files.cat_file(url, 10, 20) == origin.data[10:20]
    assert files.cat_file(url, -20, -5) == origin.data[-20:-5]
    assert files.cat(url) == origin.data
    assert files.ukey(url) == files.ukey(f"raydl://{url}")
    with pytest.raises(ValueError, match="reads"):
        files.open(url, "wb")


@pytest.mark.parametrize("query", ["?sig=a*b", "?part[]=1", ""])
def test_signed_urls(origin, tmp_path, query):
    """To fsspec ``?``, ``*`` and ``[`` are wildcards; in a URL they are not."""
    files, url = fsspec.filesystem("raydl", **ALONE), origin.url() + query
    assert files.cat(url) == origin.data
    assert files.cat([url, url]) == {url: origin.data}
    files.get(url, str(tmp_path / "got"))
    files.get(url, f"{tmp_path}/")
    files.get([url], [str(tmp_path / "listed")])
    for name in ("got", "file.bin", "listed"):
        assert (tmp_path / name).read_bytes() == origin.data
    assert files.glob(url) == [url]
    assert files.glob(url, detail=True)[url]["size"] == len(origin.data)
    assert files.expand_path(f"raydl://{url}", recursive=True) == [url]
    for urls in ([f"raydl://{url}", f"raydl://{origin.url()}?other"], f"raydl://{url}"):
        opened = fsspec.open_files(urls, **ALONE)
        assert len(opened) == (2 if isinstance(urls, list) else 1)
        for one in opened:
            with one as file:
                assert file.read(9) == origin.data[:9]


def test_ranges_of_a_file(origin):
    files = fsspec.filesystem("raydl", **ALONE)
    assert files.read_block(origin.url(), 10, 5) == origin.data[10:15]
    assert files.cat_file(origin.url(), start=-10 * len(origin.data)) == origin.data


def test_what_is_not_there(origin):
    origin.on(status(404), None, lambda seen: True)
    files = fsspec.filesystem("raydl", **ALONE)
    assert not files.exists(origin.url())
    assert files.glob(origin.url()) == []
    with pytest.raises(FileNotFoundError):
        files.info(origin.url())


def test_pandas(make_origin):
    pandas = pytest.importorskip("pandas")
    origin = make_origin(b"a,b\n1,2\n3,4\n")
    frame = pandas.read_csv(f"raydl://{origin.url()}", storage_options=ALONE)
    assert frame.b.sum() == 6


WAYS = {
    "info": lambda files, url: files.info(url),
    "open": lambda files, url: files.open(url),
    "cat": lambda files, url: files.cat_file(url, 0, 10),
    "chained": lambda files, url: fsspec.open(f"raydl::{url}", raydl=ALONE).open(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("code", "kind", "number"),
    [
        (404, FileNotFoundError, errno.ENOENT),
        (410, FileNotFoundError, errno.ENOENT),
        (401, PermissionError, errno.EACCES),
        (403, PermissionError, errno.EACCES),
    ],
)
def test_statuses_are_what_programs_that_open_files_know(origin, way, code, kind, number):
    origin.on(status(code), None, anything)
    with pytest.raises(kind) as raised:
        WAYS[way](fsspec.filesystem("raydl", **ALONE), origin.url("/f?signature=secret"))
    assert raised.value.errno == number
    assert "/f" in raised.value.filename
    assert str(code) in str(raised.value)
    assert isinstance(raised.value.__cause__, raydl.HttpError)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("way", WAYS)
def test_an_origin_that_is_silent(origin, way, monkeypatch):
    origin.on(lambda handler, seen: handler.origin.release.wait(60) or True, None, anything)
    monkeypatch.setitem(ALONE, "timeout", 0.2)
    monkeypatch.setitem(ALONE, "retries", 0)
    with pytest.raises(TimeoutError) as raised:
        WAYS[way](fsspec.filesystem("raydl", **ALONE), origin.url())
    assert raised.value.errno == errno.ETIMEDOUT


def test_one_that_is_refused_while_it_is_read(make_origin):
    origin = make_origin(random_bytes(3_000_000))
    with fsspec.filesystem("raydl", **ALONE).open(origin.url()) as file:
        assert file.read(10) == origin.data[:10]
        origin.on(status(403), None, anything)
        file.seek(-10, io.SEEK_END)
        with pytest.raises(PermissionError):
            file.read()


def test_other_errors_are_ours(origin):
    origin.on(status(418), None, anything)
    with pytest.raises(raydl.HttpError):
        fsspec.filesystem("raydl", **ALONE).open(origin.url())


def test_a_local_cache(origin, tmp_path):
    url = f"filecache::raydl://{origin.url()}"
    options = {"filecache": {"cache_storage": str(tmp_path)}, "raydl": ALONE}
    with fsspec.open(url, **options) as file:
        assert file.read() == origin.data
