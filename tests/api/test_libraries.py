"""docs/libraries.md: what each library does with ``raydl.install``, against nginx.

These libraries are in no extra: pip install 'dask[dataframe]' xarray zarr h5netcdf h5py datasets
"""

import re

import pytest

import raydl
from tests.servers import nginx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what each of them says of others
]

ROWS = 1_500_000
SERVER = """
  log_format who '$http_user_agent';
  default_type application/octet-stream;
  server {{ listen 127.0.0.1:{port}; root {folder}; access_log {folder}/who who; }}
"""


@pytest.fixture
def server(tmp_path):
    """Its URL, and whether raydl asked it for anything."""
    with nginx(tmp_path, SERVER) as port, raydl.install(address="none"):
        yield f"http://127.0.0.1:{port}", lambda: "raydl" in (tmp_path / "who").read_text()


@pytest.fixture
def table(tmp_path):
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": numpy.random.default_rng(1).random(ROWS), "b": range(ROWS)})
    frame.to_parquet(tmp_path / "table.parquet")
    frame.to_csv(tmp_path / "table.csv", index=False)
    assert (tmp_path / "table.parquet").stat().st_size > 16 << 20
    return frame


@pytest.fixture
def grid():
    numpy, xarray = pytest.importorskip("numpy"), pytest.importorskip("xarray")
    values = numpy.random.default_rng(1).random((2000, 1500))
    return xarray.Dataset({"t": (("x", "y"), values)})


@pytest.mark.parametrize("blocks", [None, "20MB"])
def test_dask(server, table, blocks):
    dask = pytest.importorskip("dask.dataframe")
    url, asked = server
    frame = dask.read_csv(f"{url}/table.csv", blocksize=blocks)
    assert len(frame.compute(scheduler="threads")) == ROWS
    assert asked()


def test_dask_in_other_processes(server, table):
    """The file system takes along what was installed."""
    dask = pytest.importorskip("dask.dataframe")
    url, asked = server
    frame = dask.read_parquet([f"{url}/table.parquet"] * 2)
    assert len(frame.compute(scheduler="processes", num_workers=1)) == 2 * ROWS
    assert asked()


@pytest.mark.parametrize("form", [2, 3])
def test_zarr(server, grid, tmp_path, form):
    pytest.importorskip("zarr", minversion="3")
    import xarray

    url, asked = server
    grid.to_zarr(tmp_path / "grid", zarr_format=form, encoding={"t": {"compressors": None}})
    assert xarray.open_zarr(f"{url}/grid").equals(grid)
    grid.to_zarr(
        tmp_path / "one",
        zarr_format=form,
        encoding={"t": {"chunks": (2000, 1500), "compressors": None}},
    )
    assert not asked()
    assert xarray.open_zarr(f"{url}/one").equals(grid)
    assert asked()


def test_netcdf(server, grid, tmp_path):
    pytest.importorskip("h5netcdf")
    import fsspec
    import xarray

    url, asked = server
    grid.to_netcdf(tmp_path / "grid.nc", engine="h5netcdf")
    with fsspec.open(f"{url}/grid.nc") as file:
        assert xarray.open_dataset(file, engine="h5netcdf").equals(grid)
    assert asked()


def test_datasets(server, table, tmp_path):
    datasets = pytest.importorskip("datasets")
    url, asked = server
    files = f"{url}/table.parquet"
    there = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    assert there["train"].num_rows == ROWS
    assert asked()
    come = datasets.load_dataset("parquet", data_files=files, streaming=True)
    assert re.match("{'a': 0.5", str(next(iter(come["train"]))))
