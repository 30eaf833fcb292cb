"""Through fsspec: chained URLs, info, ranges, compression."""

import gzip

import pytest

import raydl
from tests.scripted import status

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


def test_errors_are_ours(origin):
    origin.on(status(403), None, lambda seen: True)
    with pytest.raises(raydl.HttpError):
        fsspec.filesystem("raydl", **ALONE).info(origin.url())


def test_a_local_cache(origin, tmp_path):
    url = f"filecache::raydl://{origin.url()}"
    options = {"filecache": {"cache_storage": str(tmp_path)}, "raydl": ALONE}
    with fsspec.open(url, **options) as file:
        assert file.read() == origin.data
