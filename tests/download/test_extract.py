"""An archive that is unpacked while it comes: whole, verified, or nothing."""

import base64
import gzip
import hashlib
import os
import signal
import subprocess
import threading
import time

import pytest

import raydl
from raydl.model import backoff
from raydl.model.errors import (
    BusyError,
    CancelledError,
    ChecksumError,
    HttpError,
    NetworkError,
    OutputError,
    TargetError,
    UsageError,
    WrongAnswerError,
)
from raydl.output import extraction, tree
from tests import scripted
from tests.conftest import RAYDL, random_bytes, run_raydl
from tests.download.test_download import ALONE, names
from tests.output.archives import FILE, entry, listing, symlink, tar_of, zip_of
from tests.scripted import anything, chunked, cut_off, ignore_range, status

BIG = random_bytes(900_000)
WHAT = {"a": None, "a/big": BIG, "link": "a/big", "small": b"x" * 100}
TAR = tar_of(entry("a/big", BIG), symlink("link", "a/big"), entry("small", b"x" * 100))
TGZ = gzip.compress(TAR)
ZIP = zip_of(
    ("a/big", BIG, FILE), ("link", b"a/big", 0o120777), ("small", b"x" * 100, FILE)
)  # fmt: skip
SMALL = {**ALONE, "extract": True, "part_size": 50_000}


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_leaks):
    monkeypatch.setattr(backoff, "FIRST", 0.001)


def fetch(origin, output=None, path="/data.tar.gz", **options):
    return raydl.fetch(origin.url(path), output, **{**SMALL, **options})


def sha256(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.mark.parametrize("data", [TAR, TGZ, ZIP], ids=["tar", "gz", "zip"])
def test_an_archive(make_origin, in_tmp, data):
    origin = make_origin(data)
    report = fetch(origin, "out", checksum=sha256(data))
    assert listing(in_tmp / "out") == WHAT
    assert names(in_tmp) == ["out"]
    assert (report.path, report.size, report.fetched) == ("out", len(data), len(data))
    assert list(report.digests) == ["sha256"]
    assert report.parts > 5


@pytest.mark.parametrize(
    ("output", "options", "path", "where"),
    [
        ("out", {}, "/data.tar.gz", "out"),
        ("out/", {}, "/data.tar.gz", "out"),
        (None, {}, "/data.tar.gz", "data"),
        (None, {}, "/data.TGZ", "data"),
        (None, {}, "/v1.2.tar.zst", "v1.2"),
        (None, {}, "/v1.2", "v1.2"),
        (None, {}, "/x.part.zip", "x.part_"),
        (None, {}, "/raydl.toml.tar", "_raydl.toml"),
        (None, {"output_dir": "there"}, "/data.tar", "there/data"),
        ("out", {"output_dir": "there"}, "/data.tar", "there/out"),
        ("there/out/", {}, "/data.tar", "there/out"),
    ],
)
def test_where_it_goes(make_origin, in_tmp, output, options, path, where):
    (in_tmp / "there").mkdir()
    report = fetch(make_origin(TGZ), output, path=path, **options)
    assert report.path.rstrip("/") == where
    assert listing(in_tmp / where) == WHAT


@pytest.mark.parametrize("behaviour", [None, chunked, ignore_range])
def test_without_ranges(make_origin, in_tmp, behaviour):
    origin = make_origin(TGZ, ranges=behaviour is not None)
    if behaviour:
        origin.on(behaviour, None, anything if behaviour is chunked else lambda s: s.is_part)
    fetch(origin)
    assert listing(in_tmp / "data") == WHAT
    assert names(in_tmp) == ["data"]


def test_a_zip_without_ranges(make_origin, in_tmp):
    with pytest.raises(WrongAnswerError, match=r"needs byte ranges.*without extract=True"):
        fetch(make_origin(ZIP, ranges=False))
    assert names(in_tmp) == []


@pytest.mark.parametrize("data", [TGZ, ZIP], ids=["gz", "zip"])
def test_faults(make_origin, in_tmp, data):
    origin = make_origin(data)
    for fault in (status(503), cut_off(10_000), cut_off(5_000, reset=True)):
        origin.on(fault, 2)
    fetch(origin)
    assert listing(in_tmp / "data") == WHAT


def test_a_file_that_changes_is_unpacked_anew(make_origin, in_tmp):
    other = tar_of(entry("other", BIG))
    origin = make_origin(TAR)

    def change(handler, seen):
        origin.data, origin.headers = other, {"ETag": '"v2"'}
        return False

    origin.on(change, when=lambda seen: seen.is_part and seen.range[0] > 400_000)
    fetch(origin, connections=1)
    assert listing(in_tmp / "data") == {"other": BIG}


@pytest.mark.parametrize("how", ["checksum", "checksum_url", "origin"])
@pytest.mark.parametrize("data", [TGZ, ZIP], ids=["gz", "zip"])
def test_another_digest_leaves_nothing(make_origin, in_tmp, how, data):
    origin, wrong = make_origin(data), hashlib.sha256(b"other").hexdigest()
    options = {}
    if how == "origin":
        stated = base64.b64encode(bytes.fromhex(wrong)).decode()
        origin.headers = {**origin.headers, "Repr-Digest": f"sha-256=:{stated}:"}
    elif how == "checksum":
        options["checksum"] = f"sha256:{wrong}"
    else:
        origin.files["/SUMS"] = f"{wrong}  data.tar.gz\n".encode()
        options["checksum_url"] = origin.url("/SUMS")
    with pytest.raises(ChecksumError, match="what was unpacked was discarded"):
        fetch(origin, **options)
    assert names(in_tmp) == []


@pytest.mark.parametrize(
    "data",
    [TGZ[:-5], TGZ + b"garbage", TAR[:500_000], b"<html>" * 9000, tar_of(entry("../x")), ZIP[:-9]],
    ids=["short", "long", "cut", "page", "hostile", "zip"],
)
def test_what_is_not_unpacked(make_origin, in_tmp, data):
    with pytest.raises(WrongAnswerError, match="the archive cannot be unpacked: "):
        fetch(make_origin(data))
    assert names(in_tmp) == []


def test_what_is_there_already(make_origin, in_tmp):
    origin = make_origin(TGZ)
    (in_tmp / "data").mkdir()
    (in_tmp / "data" / "mine").touch()
    with pytest.raises(TargetError, match="data exists already; overwrite=True"):
        fetch(origin)
    with pytest.raises(TargetError, match="data exists already"):
        fetch(origin, "data/")
    assert not origin.parts
    report = fetch(origin, "data", skip_existing=True, checksum=sha256(TGZ))
    assert (report.skipped, report.digests, report.summary()) == (True, {}, "data exists: skipped")
    assert fetch(origin, skip_existing=True).skipped
    assert names(in_tmp / "data") == ["mine"]
    fetch(origin, overwrite=True)
    assert listing(in_tmp / "data") == WHAT
    assert names(in_tmp) == ["data"]


def test_what_fails_replaces_nothing(make_origin, in_tmp):
    (in_tmp / "data").mkdir()
    with pytest.raises(WrongAnswerError):
        fetch(make_origin(TGZ[:-5]), overwrite=True)
    assert names(in_tmp) == ["data"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_in_the_way(make_origin, in_tmp, overwrite):
    (in_tmp / "data").write_text("mine")
    (in_tmp / "link").symlink_to(in_tmp)
    for name in ("data", "link"):
        with pytest.raises(OutputError, match=f"{name} is no directory"):
            fetch(make_origin(TGZ), name, overwrite=overwrite)
    assert (in_tmp / "data").read_text() == "mine"


@pytest.mark.parametrize(
    ("output", "options", "says"),
    [
        ("-", {}, "contradict each other; raydl fetch URL -o - | tar x"),
        ("s3://bucket/key", {}, "nothing to s3://bucket/key"),
        ("/d/out", {"to": "every-node"}, 'nothing to to="every-node"'),
        ("/d/out", {"to": "shared"}, 'nothing to to="shared"'),
        (".", {}, "no name for a new directory"),
        ("..", {"overwrite": True}, "no name for a new directory"),
    ],
)
def test_what_cannot_be(origin, in_tmp, output, options, says):
    with pytest.raises(UsageError, match=says.replace("|", r"\|")):
        fetch(origin, output, **options)
    assert not origin.requests


def test_only_one_archive_and_only_to_a_directory(origin, in_tmp):
    with pytest.raises(UsageError, match="extract=True is for one file"):
        raydl.fetch_many([origin.url("/a"), origin.url("/b")], "d", **SMALL)
    for read in (raydl.stream, raydl.open, raydl.refs):
        with pytest.raises(UsageError, match="`extract`"):
            read(origin.url(), **SMALL)
    assert not origin.requests


def test_a_python_without_filters_asks_nobody(origin, in_tmp, monkeypatch):
    monkeypatch.delattr(tree.tarfile, "data_filter")
    with pytest.raises(UsageError, match="tarfile has filters"):
        fetch(origin)
    assert not origin.requests


def test_a_full_disk(make_origin, in_tmp, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tree, "_write", full)
    with pytest.raises(OutputError, match="cannot write data: the disk is full; free some space"):
        fetch(make_origin(TGZ))
    assert names(in_tmp) == []


def test_a_disk_without_room_is_noticed_first(make_origin, in_tmp, monkeypatch):
    def none(path, needed):
        raise OutputError("no room")

    monkeypatch.setattr(extraction, "check_space", none)
    origin = make_origin(TGZ)
    with pytest.raises(OutputError, match="no room"):
        fetch(origin)
    assert not origin.parts
    assert names(in_tmp) == []


def test_an_origin_that_goes_away_says_that_nothing_is_kept(make_origin, in_tmp):
    origin = make_origin(TAR)
    origin.on(cut_off(0), None, lambda s: s.is_part and s.range[0] >= 500_000)
    with pytest.raises(NetworkError, match="nothing is kept: an archive is unpacked from its"):
        fetch(origin, retries=1)
    assert names(in_tmp) == []


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_cancelled(make_origin, in_tmp):
    origin = make_origin(TAR)
    origin.on(scripted.stall(10), None, lambda s: s.is_part and s.range[0] >= 500_000)
    download = raydl.start(origin.url("/data.tar"), **SMALL)
    until(lambda: list(in_tmp.glob(".data.part/new.*/a/big")))
    with pytest.raises(BusyError):
        fetch(origin, "data")
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(10)
    download.join()
    assert names(in_tmp) == []
    assert download.kept == 0


def test_cancelled_while_one_chunk_unpacks_to_very_much(make_origin, in_tmp, monkeypatch):
    """Nothing comes meanwhile that would tell."""
    unpacking = threading.Event()

    def endless(pieces, open_list, check):
        next(pieces)
        yield entry("zeros")[0], iter(lambda: (0, b"0"), None)

    def put(self, member, content):
        for _ in content:
            unpacking.set()

    monkeypatch.setattr(extraction, "members", endless)
    monkeypatch.setattr(tree.Tree, "put", put)
    download = raydl.start(make_origin(TGZ).url("/data.tar"), **SMALL)
    assert unpacking.wait(10)
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(10)
    download.join()
    assert names(in_tmp) == []


def test_cancelled_while_the_list_of_a_zip_does_not_come(make_origin, in_tmp):
    origin = make_origin(ZIP)
    asked = threading.Event()

    def stall(handler, seen):
        asked.set()
        return scripted.stall()(handler, seen)

    origin.on(stall, None, lambda s: s.is_part and s.range[1] - s.range[0] < 1000)
    download = raydl.start(origin.url("/data.zip"), **{**SMALL, "part_size": "8MiB"})
    assert asked.wait(10)
    began = time.monotonic()
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(10)
    download.join()
    assert time.monotonic() - began < extraction.PATIENCE
    assert names(in_tmp) == []


def test_a_disk_that_hangs_does_not_hold_up_an_end(make_origin, in_tmp, monkeypatch):
    """What is there goes once it goes on."""
    monkeypatch.setattr(extraction, "PATIENCE", 0.1)
    hangs, goes_on = threading.Event(), threading.Event()
    real = tree._write

    def hang(*args):
        hangs.set()
        goes_on.wait(20)
        real(*args)

    monkeypatch.setattr(tree, "_write", hang)
    download = raydl.start(make_origin(TAR).url("/data.tar"), **SMALL)
    assert hangs.wait(10)
    download.cancel()
    with pytest.raises(CancelledError):
        download.result(10)
    assert names(in_tmp) == [".data.part"]
    goes_on.set()
    until(lambda: names(in_tmp) == [])


class TestProcesses:
    def begin(self, origin, here):
        origin.on(scripted.stall(10), None, lambda s: s.is_part and s.range[0] >= 500_000)
        command = [*RAYDL, "fetch", origin.url("/data.tar"), "--extract", "--part-size", "50000"]
        process = subprocess.Popen(
            [*command, "--address", "none"], cwd=here, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 30
        while not list(here.glob(".data.part/new.*/a/big")):
            assert process.poll() is None
            assert time.monotonic() < deadline
        return process

    def again(self, origin, here):
        return run_raydl(
            "fetch", origin.url("/data.tar"), "--extract", "--address", "none", cwd=here
        )

    @pytest.mark.parametrize(
        ("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
    )
    def test_interrupted(self, make_origin, in_tmp, how, code):
        if signal.getsignal(how) is signal.SIG_IGN:
            pytest.skip("whoever runs the tests has it ignored")
        process = self.begin(make_origin(TAR), in_tmp)
        process.send_signal(how)
        _, said = process.communicate(timeout=20)
        assert process.returncode == code
        assert "nothing is kept: an archive is unpacked from its first byte on" in said
        assert "Traceback" not in said
        assert names(in_tmp) == []

    def test_killed(self, make_origin, in_tmp):
        origin = make_origin(TAR)
        process = self.begin(origin, in_tmp)
        process.kill()
        process.communicate(timeout=20)
        assert names(in_tmp) == [".data.part"]
        origin.release.set()
        origin.rules.clear()
        done = self.again(origin, in_tmp)
        assert done.returncode == 0, done.stderr
        assert listing(in_tmp / "data") == WHAT
        assert names(in_tmp) == ["data"]

    def test_two_at_once(self, make_origin, in_tmp):
        origin = make_origin(TAR)
        first = self.begin(origin, in_tmp)
        second = self.again(origin, in_tmp)
        assert second.returncode == 7
        assert "another raydl is writing data" in second.stderr
        origin.rules.clear()
        origin.release.set()
        first.communicate(timeout=30)
        assert first.returncode == 0
        assert listing(in_tmp / "data") == WHAT

    def test_a_limit_of_the_system(self, make_origin, in_tmp):
        """A file that may not be that long, as with a quota."""
        code = (
            "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
            "from raydl.cli.main import main; main()"
        )
        url = make_origin(TAR).url("/data.tar")
        done = subprocess.run(
            [RAYDL[0], "-c", code, "fetch", url, "--extract", "--address", "none"],
            cwd=in_tmp, capture_output=True, text=True, timeout=60, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 8, done.stderr
        assert "cannot write data: the file system takes no file that large" in done.stderr
        assert names(in_tmp) == []

    def test_exit_codes(self, make_origin, in_tmp):
        done = run_raydl("fetch", make_origin(TGZ[:-5]).url("/d.tgz"), "--extract", cwd=in_tmp)
        assert done.returncode == 5
        assert done.stderr.splitlines()[-1].startswith("raydl: the archive cannot be unpacked")
        origin = make_origin(TGZ)
        origin.on(status(404), None, anything)
        with pytest.raises(HttpError):
            fetch(origin)
        assert names(in_tmp) == []
