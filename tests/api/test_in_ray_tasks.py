"""What other libraries do runs in Ray's tasks: raydl is quiet there, and its errors arrive."""

import contextlib
import io

import pytest

import raydl
from tests.conftest import random_bytes
from tests.scripted import anything, status

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

pytestmark = pytest.mark.cluster


@pytest.fixture
def ray(two_nodes):
    import ray

    raydl.disconnect()
    ray.init(two_nodes.address, log_to_driver=False, configure_logging=False)
    yield ray
    raydl.disconnect()
    ray.shutdown()


def test_a_task_downloads_and_says_nothing(ray, origin, tmp_path):
    @ray.remote
    def fetch(url, path):
        with contextlib.redirect_stderr(io.StringIO()) as said:
            report = raydl.fetch(url, path)
        return str(report), said.getvalue()

    line, said = ray.get(fetch.remote(origin.url(), str(tmp_path / "out")))
    assert line.startswith(f"{tmp_path}/out: 976.6 KiB in ")
    assert said == ""
    assert (tmp_path / "out").read_bytes() == origin.data


def test_an_error_arrives_whole(ray, origin):
    @ray.remote
    def read(url):
        return raydl.read(url)

    origin.on(status(404), None, anything)
    with pytest.raises(ray.exceptions.RayTaskError) as raised:
        ray.get(read.remote(origin.url("/f?signature=secret")))
    error = raised.value.cause
    assert isinstance(error, raydl.HttpError)
    assert (error.status, error.url.partition("?")[0]) == (404, origin.url("/f"))
    assert "secret" not in repr(vars(error))


def test_a_file_system_takes_along_what_was_installed(ray, make_origin):
    origin = make_origin(random_bytes(20_000_000))

    @ray.remote
    def length(files, url):
        return len(files.cat(url))

    with raydl.install(part_size="1MiB"):
        assert ray.get(length.remote(fsspec.filesystem("http"), origin.url())) == 20_000_000
    asked = [s for s in origin.requests if s.headers["user-agent"].startswith("raydl")]
    assert sum(s.method == "GET" for s in asked) > 10


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")  # Ray Data's own
def test_ray_data(ray, make_origin):
    """Its ``download`` makes None of what failed; ``raydl.read`` in ``map`` raises."""
    from ray.data.expressions import download

    there, gone = make_origin(b"there"), make_origin(b"gone")
    gone.on(status(404), None, anything)
    urls = ray.data.from_items([{"url": there.url()}, {"url": gone.url()}])
    silent = urls.with_column("bytes", download("url", filesystem=fsspec.filesystem("http")))
    assert {row["url"]: row["bytes"] for row in silent.take_all()} == {
        there.url(): b"there",
        gone.url(): None,
    }

    def complete(table):
        missing = table.filter(table["bytes"].is_null())["url"]
        if len(missing):
            raise FileNotFoundError(f"{len(missing)} files did not come, such as {missing[0]}")
        return table

    with pytest.raises(ray.exceptions.RayTaskError, match=f"1 files did not come.*{gone.port}"):
        silent.map_batches(complete, batch_format="pyarrow").take_all()

    def fetched(row):
        return {**row, "bytes": raydl.read(row["url"])}

    assert ray.data.from_items([{"url": there.url()}]).map(fetched).take_all()[0]["bytes"]
    with pytest.raises(ray.exceptions.RayTaskError, match="answered 404 Not Found"):
        urls.map(fetched).take_all()
