"""Libraries that open URLs by fsspec or urllib, with ``raydl.install`` and without."""

import asyncio
import contextlib
import http.client
import io
import json
import pickle
import tempfile
import threading
import urllib.error
import urllib.request

import pytest

import raydl
from raydl.api import urlopener
from raydl.model.errors import UsageError
from tests.conftest import random_bytes
from tests.scripted import anything, status

fsspec = pytest.importorskip("fsspec")
aiohttp = pytest.importorskip("aiohttp")

from raydl.api import httpfiles  # noqa: E402

SIZE = 1_000_003


@pytest.fixture(autouse=True)
def from_there_on(monkeypatch):
    """Files of a megabyte are large enough to take the fleet, and nothing stays installed."""
    monkeypatch.setattr(httpfiles, "LARGE", SIZE)
    monkeypatch.setattr(urlopener, "LARGE", SIZE)
    yield
    raydl.uninstall()


def install(**options):
    return raydl.install(**{"address": "none", **options})


def who(origin):
    """Who asked the origin, and how often by each method."""
    asked = [(s.headers["user-agent"].partition("/")[0], s.method) for s in origin.requests]
    origin.requests.clear()
    return asked


def files():
    return fsspec.filesystem("http")


def get(url, path):
    files().get(url, str(path))
    return path.read_bytes()


def opened(url):
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def urlretrieve(url, path):
    urllib.request.urlretrieve(url, path)
    return path.read_bytes()


WAYS = {
    "open": lambda url, path: fsspec.open(url).open().read(),
    "cat": lambda url, path: files().cat(url),
    "get": get,
    "urlopen": lambda url, path: opened(url),
    "urlretrieve": urlretrieve,
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_large_takes_the_fleet(way, make_origin, tmp_path):
    origin = make_origin(random_bytes(3 * SIZE))
    assert WAYS[way](origin.url(), tmp_path / "got") == origin.data
    before = who(origin)
    with install(part_size="100KiB"):
        assert WAYS[way](origin.url(), tmp_path / "got") == origin.data
    asked = who(origin)
    assert asked.count(("raydl", "GET")) > 5
    assert len([one for one in asked if one[0] != "raydl"]) <= len(before)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_small_takes_the_requests_that_it_took(way, make_origin, tmp_path):
    origin = make_origin(random_bytes(1000))
    assert WAYS[way](origin.url(), tmp_path / "got") == origin.data
    before = who(origin)
    with install():
        assert WAYS[way](origin.url(), tmp_path / "got") == origin.data
    assert who(origin) == before


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_there(way, origin, tmp_path):
    origin.on(status(404), None, anything)
    raised = []
    for how in (contextlib.nullcontext, install):
        with how(), pytest.raises((FileNotFoundError, urllib.error.HTTPError)) as caught:
            WAYS[way](origin.url(), tmp_path / "got")
        raised.append(type(caught.value))
        if isinstance(caught.value, urllib.error.HTTPError):
            caught.value.close()
    assert raised[0] is raised[1]


def test_ranges(make_origin):
    origin = make_origin(random_bytes(2 * SIZE))
    with install():
        got = files().cat_ranges([origin.url()] * 2, [0, 5], [4, 5 + SIZE])
    assert got == [origin.data[:4], origin.data[5 : 5 + SIZE]]
    assert [one for one in who(origin) if one[0] != "raydl"] == [("Python", "GET")]


def test_a_file_tells_what_programs_ask_and_can_be_pickled(origin):
    with install(), files().open(origin.url()) as file:
        assert (file.size, file.path, file.details["size"]) == (SIZE, origin.url(), SIZE)
        file.seek(-10, io.SEEK_END)
        with pickle.loads(pickle.dumps(file)) as again:
            assert again.read() == origin.data[-10:]


def test_who_wants_a_cache_of_fsspec_has_it(origin):
    with install(), files().open(origin.url(), cache_type="readahead") as file:
        assert file.read(10) == origin.data[:10]
    assert {name for name, _ in who(origin)} == {"Python"}


def test_headers(origin, tmp_path):
    """Those that were installed, and those of a call."""
    with install(header={"Referer": "1"}):
        fsspec.open(origin.url(), headers={"X-Two": "2"}).open().read()
        opened(urllib.request.Request(origin.url(), headers={"X-Two": "2"}))
    by_raydl = [s for s in origin.requests if s.headers["user-agent"].startswith("raydl")]
    assert {(s.headers["referer"], s.headers["x-two"]) for s in by_raydl} == {("1", "2")}


@pytest.mark.parametrize(
    "private",
    [{"header": {"X-Key": "k"}}, {"header": "Authorization: k"}, {"user": "a:b"},
     {"bearer_env": "HOME"}, {"location_trusted": True}],
)  # fmt: skip
def test_no_hosts_credentials_are_for_all(private):
    before = urllib.request._opener
    with pytest.raises(UsageError, match="every host"):
        install(**private)
    assert urllib.request._opener is before


def test_what_only_aiohttp_can_is_left_to_it(origin):
    options = {"client_kwargs": {"timeout": aiohttp.ClientTimeout(60)}}
    with install():
        assert fsspec.filesystem("http", **options).cat(origin.url()) == origin.data
    assert {name for name, _ in who(origin)} == {"Python"}


def test_what_raydl_cannot_open_comes_as_it_came(origin):
    origin.on(status(403), None, lambda seen: seen.headers["user-agent"].startswith("raydl"))
    with install(), urllib.request.urlopen(origin.url()) as answer:
        assert answer.read() == origin.data


@pytest.mark.parametrize("way", WAYS)
def test_what_the_origin_does_not_give_to_raydl(way, origin, tmp_path):
    """It may know others by a cookie, or by their name."""
    origin.on(status(403), None, lambda seen: seen.headers["user-agent"].startswith("raydl"))
    with install():
        assert WAYS[way](origin.url(), tmp_path / "got") == origin.data


def test_a_file_that_another_program_has_open(origin):
    """As of ``tempfile``: another one of that name would be lost with it."""
    with install(), tempfile.NamedTemporaryFile() as file:
        files().get_file(origin.url(), file.name)
        assert file.read() == origin.data
    assert "raydl" in {name for name, _ in who(origin)}


def test_a_path_is_a_path(origin, in_tmp):
    """Neither standard output, nor a directory in which it has the origin's name."""
    (in_tmp / "directory").mkdir()
    with install():
        files().get_file(origin.url(), "-")
        with pytest.raises(IsADirectoryError):
            files().get_file(origin.url(), "directory")
    assert (in_tmp / "-").read_bytes() == origin.data


@pytest.mark.parametrize("size", [1000, SIZE])
def test_without_ranges(size, make_origin):
    origin = make_origin(random_bytes(size), ranges=False, headers={"Accept-Ranges": "none"})
    with install():
        file = files().open(origin.url())
        assert type(file).__name__ == "HTTPStreamFile"
        assert file.read() == origin.data
        assert urllib.request.urlopen(origin.url()).read() == origin.data
    assert who(origin).count(("raydl", "GET")) <= 1


def test_another_version_when_raydl_asks(origin):
    """The headers are those of the bytes, though both versions have the same size."""
    before = origin.data

    def answer_and_change(handler, seen):
        handler.serve(seen)
        handler.origin.data, handler.origin.headers = random_bytes(SIZE, 9), {"ETag": '"v2"'}
        return True

    origin.on(answer_and_change, 1, anything)
    with install(), urllib.request.urlopen(origin.url()) as answer:
        assert (answer.headers["ETag"], answer.read()) == ('"v1"', before)


def test_urls_that_others_open():
    class Others(urllib.request.BaseHandler):
        def others_open(self, request):
            return io.BytesIO(b"theirs")

    urllib.request.install_opener(urllib.request.build_opener(Others))
    try:
        with install():
            assert urllib.request.urlopen("others://x").read() == b"theirs"
            assert urllib.request.urlopen("data:,here").read() == b"here"
    finally:
        urllib.request.install_opener(None)


def test_the_timeout_of_urlopen(origin):
    def is_silent(handler, seen):
        return handler.origin.release.wait(60) or True

    origin.on(is_silent, None, lambda seen: seen.is_part)
    install(retries=0)
    with urllib.request.urlopen(origin.url(), timeout=0.2) as answer, pytest.raises(TimeoutError):
        answer.read()


def test_an_answer_has_what_programs_ask_of_it(origin):
    with install(), urllib.request.urlopen(origin.url()) as answer:
        assert (answer.status, answer.code, answer.reason) == (200, 200, "OK")
        assert answer.url == answer.geturl() == origin.url()
        assert answer.getheader("Content-Length") == answer.info()["Content-Length"] == str(SIZE)
        assert ("ETag", '"v1"') in answer.getheaders()
        assert isinstance(answer, http.client.HTTPResponse)
        assert b"".join(iter(lambda: answer.read(65536), b"")) == origin.data
        assert answer.read() == b""
    assert answer.read() == b""
    assert "raydl" in {name for name, _ in who(origin)}


def test_its_options_make_a_file_system_elsewhere(origin):
    """As dask and datasets have it made in other processes, where nothing is installed."""
    with install():
        options = files().storage_options
    assert "raydl" not in options
    assert fsspec.filesystem("http", **options).cat(origin.url()) == origin.data


def test_async_callers(origin):
    """As zarr does: it makes the instance again with ``asynchronous``, from JSON."""

    async def both():
        made = json.loads(files().to_json()) | {"asynchronous": True}
        again = fsspec.AbstractFileSystem.from_json(json.dumps(made))
        session = await again.set_session()
        try:
            return [
                await again._cat_file(origin.url()),
                await again._cat_file(origin.url(), 5, 9),
                await again._exists(origin.url("/") + "other"),
            ]
        finally:
            await session.close()

    with install(connections=2):
        whole, some, _ = asyncio.run(both())
    assert (whole, some) == (origin.data, origin.data[5:9])
    assert "raydl" in {name for name, _ in who(origin)}


def place():
    return [fsspec.get_filesystem_class(s) for s in ("http", "https")] + [urllib.request._opener]


def test_it_is_undone():
    before = place()
    raydl.uninstall()
    assert place() == before
    install()
    install()
    assert before[0] not in place()
    raydl.uninstall()
    assert place() == before


def test_the_latest_counts_and_each_ends_by_itself():
    """In whatever order: threads may have one each."""
    before = place()
    first, second = install(connections=1), install(connections=2)
    assert files()._chosen["connections"] == 2
    first.__exit__(None, None, None)
    assert files()._chosen["connections"] == 2
    with install(connections=3):
        assert files()._chosen["connections"] == 3
    assert files()._chosen["connections"] == 2
    second.__exit__(None, None, None)
    assert place() == before


def test_what_another_program_installs_meanwhile_stays():
    before = place()
    install()
    other, opener = type("Other", (before[0],), {}), urllib.request.build_opener()
    fsspec.register_implementation("http", other, clobber=True)
    urllib.request.install_opener(opener)
    try:
        raydl.uninstall()
        assert place() == [other, before[1], opener]
        with install():
            assert other not in place()
        assert place() == [other, before[1], opener]
    finally:
        fsspec.register_implementation("http", before[0], clobber=True)
        urllib.request.install_opener(before[2])


def test_from_several_threads():
    before = place()

    def often():
        for _ in range(20):
            with install():
                assert files()

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place() == before


def test_options_that_make_no_sense():
    with pytest.raises(raydl.UsageError):
        install(part_size="much")
    with pytest.raises(raydl.UsageError):
        install(to="every-node")


def test_pandas(make_origin):
    pandas, buffer = pytest.importorskip("pandas"), io.BytesIO()
    frame = pandas.DataFrame({"a": range(200_000), "b": [n / 7 for n in range(200_000)]})
    frame.to_parquet(buffer)
    parquet, csv = make_origin(buffer.getvalue()), make_origin(frame.to_csv(index=False).encode())
    assert min(len(parquet.data), len(csv.data)) > SIZE
    with install():
        assert pandas.read_parquet(parquet.url()).equals(frame)
        assert pandas.read_parquet(parquet.url(), filesystem=files()).equals(frame)
        assert pandas.read_csv(csv.url()).shape == frame.shape
    for origin in (parquet, csv):
        assert ("raydl", "GET") in who(origin)


def test_pyarrow(make_origin):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import dataset, fs, parquet

    table, buffer = pyarrow.table({"a": range(200_000)}), io.BytesIO()
    parquet.write_table(table, buffer)
    origin = make_origin(buffer.getvalue())
    assert len(origin.data) > SIZE
    with install():
        wrapped = fs.PyFileSystem(fs.FSSpecHandler(files()))
        assert dataset.dataset(origin.url(), filesystem=wrapped).to_table() == table
        assert ("raydl", "GET") in who(origin)
        origin.on(status(404), None, anything)
        with pytest.raises(FileNotFoundError):
            wrapped.open_input_file(origin.url())
