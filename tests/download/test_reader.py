"""The file object: against the true file, whatever is read in whatever order."""

import io
import os
import subprocess
import sys
import threading
import zipfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import raydl
from raydl.download import reader
from raydl.model.errors import HttpError, OriginChangedError
from tests.conftest import random_bytes, threads_end
from tests.download.test_download import ALONE
from tests.scripted import Origin, changed, cut_off, status

DATA = random_bytes(700_000)
SMALL = {**ALONE, "part_size": 20_000, "max_memory": "1MiB"}


@pytest.fixture(autouse=True)
def nothing_left(no_leaks, monkeypatch):
    monkeypatch.setattr(reader, "BLOCK", 4096)
    monkeypatch.setattr(reader, "SKIP", 30_000)
    monkeypatch.setattr(reader, "LARGE", 150_000)  # more than io reads at once


@pytest.fixture
def file(origin):
    with raydl.open(origin.url(), **SMALL) as file:
        yield file


def test_what_it_is(origin):
    file = raydl.open(origin.url("/file.bin?key=hunter2"), **SMALL)
    assert repr(file) == f"<RemoteFile file.bin: {len(origin.data):,} bytes, open>"
    file.close()
    assert repr(file).endswith(" bytes, closed>")


def test_all_of_it(origin, file):
    assert file.readall() == origin.data
    assert file.read(10) == b""
    assert file.tell() == file.size == len(origin.data)
    assert file.name == "file.bin"


def test_somewhere(origin, file):
    assert file.seek(-10, os.SEEK_END) == len(origin.data) - 10
    assert file.read() == origin.data[-10:]
    assert file.seek(500_000) == 500_000
    assert file.read(100) == origin.data[500_000:500_100]
    assert file.seek(-50, os.SEEK_CUR) == 500_050
    assert file.read(10) == origin.data[500_050:500_060]
    # Two requests, each a little more than what was asked for.
    assert [s.range for s in origin.parts] == [(999_993, 1_000_002), (500_000, 504_095)]


def test_the_first_bytes_alone(origin, file):
    assert file.read(4) == origin.data[:4]
    assert [s.range for s in origin.parts] == [(0, 4095)]


@pytest.mark.parametrize("size", [5000, 200_000])
def test_reading_on_reads_ahead(origin, file, size):
    buffered = io.BufferedReader(file, 5000)
    for at in range(0, 200_000, size):
        assert buffered.read(size) == origin.data[at : at + size]
    assert len(origin.parts) > 5
    assert max(s.range[1] for s in origin.parts) > 200_000


def test_a_far_seek_ends_reading_ahead(origin, file):
    before = set(threading.enumerate())
    file.read(4096)
    file.read(1)
    assert any(t.name == "raydl-scheduler" for t in threading.enumerate() if t not in before)
    file.seek(-10, os.SEEK_END)
    assert file.read() == origin.data[-10:]
    assert threads_end(before)


def test_a_short_skip_reads_on(origin, file):
    file.read(4096)
    file.read(1)
    asked = len(origin.parts)
    file.seek(20_000, os.SEEK_CUR)
    assert file.read(5) == origin.data[24_097:24_102]
    assert all(s.range[0] != 24_097 for s in origin.parts[asked:])


def test_what_a_file_object_refuses(file):
    with pytest.raises(ValueError, match="before the file"):
        file.seek(-1)
    with pytest.raises(ValueError, match="whence"):
        file.seek(0, 7)
    assert not file.writable()
    file.seek(10**9)
    assert file.read(5) == b""
    file.close()
    file.close()
    for forbidden in (file.tell, lambda: file.seek(0), lambda: file.read(1)):
        with pytest.raises(ValueError, match="closed"):
            forbidden()


def test_without_ranges_it_reads_from_the_start(make_origin):
    origin = make_origin(DATA, ranges=False)
    with raydl.open(origin.url(), **SMALL) as file:
        assert not file.seekable()
        with pytest.raises(io.UnsupportedOperation, match="ignores byte ranges"):
            file.seek(5)
        assert io.BufferedReader(file).read() == DATA


@pytest.mark.parametrize("fault", [status(503), cut_off(1000), cut_off(1000, reset=True)])
def test_faults(origin, file, fault):
    origin.on(fault, 3)
    file.seek(5000)
    assert file.read(3000) == origin.data[5000:8000]
    assert file.readall() == origin.data[8000:]


def test_an_interrupted_read_is_not_the_end(origin, file, monkeypatch):
    """A generator that raised has ended; what follows must not look like the end of the file."""
    file.read(4096)
    file.read(1)

    def interrupt(source):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("raydl.download.handover.next_item", interrupt)
        with pytest.raises(KeyboardInterrupt):
            file.readall()
    at = file.tell()
    assert 4097 <= at < len(origin.data)
    assert file.readall() == origin.data[at:]


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_file_that_changes(origin, file, size):
    origin.on(changed(headers={"ETag": '"v2"'}), None)
    file.seek(5000)
    with pytest.raises(OriginChangedError, match="changed") as raised:
        file.read(size)
    assert raised.value.hint == "open it again"


def test_not_there(origin):
    origin.on(status(404), None, lambda seen: True)
    with pytest.raises(HttpError):
        raydl.open(origin.url(), **SMALL)


def test_a_zip_fetches_what_it_needs(make_origin):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for number in range(50):
            zipped.writestr(f"{number}.bin", random_bytes(100_000, number))
    origin = make_origin(packed.getvalue())
    with raydl.open(origin.url(), **SMALL) as file, zipfile.ZipFile(file) as zipped:
        assert len(zipped.namelist()) == 50
        assert zipped.read("30.bin") == random_bytes(100_000, 30)
    asked = {at for s in origin.parts for at in range(s.range[0], s.range[1] + 1, 1000)}
    assert len(asked) * 1000 < 2_500_000


def test_parquet(make_origin):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"a": range(100_000), "b": [str(n) for n in range(100_000)]})
    packed = io.BytesIO()
    parquet.write_table(table, packed, row_group_size=10_000)
    with raydl.open(make_origin(packed.getvalue()).url(), **SMALL) as file:
        assert parquet.read_table(file, columns=["a"]).equals(table.select(["a"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_process_that_is_forked_off_amid_reading(make_origin, tmp_path):
    """As loaders of training data do: both read on, each by connections of its own."""
    origin = make_origin(random_bytes(3_000_000))
    (tmp_path / "right").write_bytes(origin.data)
    code = f"""
import os, raydl
right = open("right", "rb").read()
file = raydl.open({origin.url()!r}, address="none", part_size=50_000, max_memory="1MiB")
got = b"".join(file.read(300_000) for _ in range(4))  # the last ones read ahead
child = os.fork()
while more := file.read(100_000):
    got += more
file.close()
if child == 0:
    os._exit(0 if got == right else 1)
assert got == right
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, timeout=60, check=True)


class Reads(RuleBasedStateMachine):
    """Any order of seeks and reads gives what the true file gives."""

    @initialize()
    def begin(self):
        self.origin = Origin(DATA).__enter__()
        self.file = raydl.open(self.origin.url(), **SMALL)
        self.true = io.BytesIO(DATA)

    @rule(position=st.integers(0, len(DATA) + 10))
    def seek(self, position):
        assert self.file.seek(position) == self.true.seek(position)

    @rule(step=st.integers(-50_000, 50_000))
    def step(self, step):
        if self.true.tell() + step >= 0:
            assert self.file.seek(step, os.SEEK_CUR) == self.true.seek(step, os.SEEK_CUR)

    @rule(step=st.integers(-len(DATA), 10))
    def from_the_end(self, step):
        assert self.file.seek(step, os.SEEK_END) == self.true.seek(step, os.SEEK_END)

    @rule(count=st.integers(1, 100_000))
    def read(self, count):
        got = self.file.read(count)
        assert got or self.true.tell() >= len(DATA)
        assert got == self.true.read(len(got))

    @rule(count=st.integers(1, 100_000))
    def read_fully(self, count):
        got = bytearray()
        while len(got) < count and (more := self.file.read(count - len(got))):
            got += more
        assert got == self.true.read(count)

    @invariant()
    def same_place(self):
        if hasattr(self, "true"):
            assert self.file.tell() == self.true.tell()

    def teardown(self):
        if hasattr(self, "true"):
            self.file.close()
            self.origin.__exit__(None, None, None)


Reads.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestReads = Reads.TestCase
