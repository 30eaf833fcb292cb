"""Runs of many files from a real origin: what comes, what fails, what the next run does."""

import csv
import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from raydl.many import crew
from raydl.many.lists import entries, read_list
from raydl.many.run import Order, run_many
from raydl.model.control import Control
from raydl.model.errors import CancelledError, DiskError, OutputError, TargetError, UsageError
from raydl.model.events import Notice
from raydl.model.fileevents import AllEnded, FileEnded, FilesNow
from raydl.model.remote import Access, Source
from raydl.output.ledger import NAME
from raydl.output.partfile import PartFile
from raydl.settings.options import Options
from raydl.workers.smallfiles import FIRST, LARGEST, SmallFiles, Wish
from raydl.workers.worker import Worker
from tests.conftest import RAYDL, random_bytes
from tests.scripted import chunked, cut_off, ignore_range, status

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture
def library(make_origin):
    """An origin with files of many sizes."""
    dice = random.Random(1)
    sizes = [0, 1, 100, 1000, 70_000, FIRST - 1, FIRST, FIRST + 1, 3 * FIRST, 2000, 5000]
    origin = make_origin(b"")
    origin.files = {f"/d/f{n}": dice.randbytes(size) for n, size in enumerate(sizes)}
    return origin


def urls(origin):
    return [origin.url(path) for path in origin.files]


def fetch(items, directory, *, events=None, control=None, order=None, **options):
    return run_many(
        Order(entries(items), lambda: entries(items), **(order or {})),
        Options.of({
            "address": "none", "progress": "none", "output_dir": str(directory),
            "retries": 1, **options,
        }),
        None if events is None else events.append,
        control,
    )  # fmt: skip


def there(directory):
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith(NAME)
    }


def failures(report):
    return {each.path: (each.error, each.problem) for each in report}


def only(path):
    return lambda seen: seen.path == path


def test_all_of_them_come_and_the_next_time_nothing_is_asked(library, tmp_path):
    report = fetch(urls(library), tmp_path)
    wanted = {path.rpartition("/")[2]: data for path, data in library.files.items()}
    assert there(tmp_path) == wanted
    assert (report.done, report.failed, report.skipped) == (len(wanted), 0, 0)
    assert report.size == sum(map(len, wanted.values()))
    assert [path.name for path in tmp_path.iterdir() if path.name not in wanted] == [NAME]
    asked = len(library.requests)
    again = fetch(urls(library), tmp_path)
    assert (again.done, again.skipped) == (0, len(wanted))
    assert len(library.requests) == asked


def test_a_small_file_takes_one_request(library, tmp_path):
    fetch(urls(library)[:6], tmp_path)
    assert len(library.requests) == 6
    assert {seen.method for seen in library.requests} == {"GET"}


def test_a_large_one_is_a_download_of_its_own(make_origin, tmp_path):
    origin = make_origin(random_bytes(LARGEST + 1))
    small = make_origin(b"small")
    report = fetch([(small.url(), "a/s"), (origin.url(), "b/l"), (small.url(), "t")], tmp_path)
    assert report.done == 3
    assert there(tmp_path) == {"a/s": b"small", "b/l": origin.data, "t": b"small"}
    assert fetch([(origin.url(), "b/l")], tmp_path).skipped == 1


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [0, 5, FIRST, FIRST + 1, 4 * FIRST])
def test_with_and_without_ranges(make_origin, tmp_path, ranges, size):
    origin = make_origin(random_bytes(size), ranges=ranges)
    fetch([origin.url("/f")], tmp_path)
    assert there(tmp_path) == {"f": origin.data}


def test_without_a_version_nothing_is_put_together_of_two_requests(make_origin, tmp_path):
    origin = make_origin(random_bytes(2 * FIRST), headers={})
    fetch([origin.url("/f")], tmp_path)
    assert there(tmp_path) == {"f": origin.data}


def test_one_failure_ends_no_other(library, tmp_path):
    library.on(status(404), None, only("/d/f1"))
    library.on(cut_off(50, reset=True), None, only("/d/f3"))
    library.on(cut_off(50, reset=True), 1, only("/d/f4"))
    items = [*urls(library), (library.url("/d/f2"), "../x"), "ftp://h/f",
             (library.url("/d/f4"), "wrong", "md5:" + "0" * 32)]  # fmt: skip
    events = []
    report = fetch(items, tmp_path, events=events)
    assert report.done == len(library.files) - 2
    assert report.failed == 5
    assert {path: error for path, (error, _) in failures(report).items()} == {
        "f1": "HttpError", "f3": "NetworkError", "wrong": "ChecksumError", "": "UsageError",
    }  # fmt: skip
    assert "wrong" not in there(tmp_path)
    assert "answered 404" in failures(report)["f1"][1]
    assert "(2 tries)" in failures(report)["f3"][1]
    ended = [event for event in events if isinstance(event, FileEnded)]
    assert sorted(event.file for event in ended) == list(range(1, len(items) + 1))
    assert isinstance(events[-1], AllEnded)
    now = [event for event in events if isinstance(event, FilesNow)][-1]
    assert (now.ended, now.total, now.failed) == (len(items), len(items), 5)
    library.rules.clear()
    again = fetch(items, tmp_path)
    assert (again.done, again.skipped, again.failed) == (2, len(library.files) - 2, 3)


def test_the_slowest_are_told_of(library, tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.many.crew.SLOW_SECONDS", 0.0)
    told = threading.Event()
    library.on(lambda handler, seen: told.wait(60) and False, 1, only("/d/f4"))

    def heard(event):
        if isinstance(event, FilesNow) and [file.path for file in event.slowest] == ["f4"]:
            told.set()

    options = Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path)})
    assert run_many(Order(entries(urls(library))), options, heard).failed == 0
    assert told.is_set()


def test_digests(library, tmp_path):
    def item(name, digest):
        return {"url": library.url(f"/d/{name}"), "digest": digest}

    right = hashlib.sha256(library.files["/d/f8"]).hexdigest()
    report = fetch([item("f8", f"sha256:{right}"), item("f7", f"sha256:{right}")], tmp_path)
    assert list(there(tmp_path)) == ["f8"]
    assert "not " + right in failures(report)["f7"][1]


def test_what_the_origin_states_counts(make_origin, tmp_path):
    origin = make_origin(b"data", headers={"Digest": "md5=" + "A" * 22 + "=="})
    (failed,) = fetch([origin.url("/f")], tmp_path)
    assert (failed.error, there(tmp_path)) == ("ChecksumError", {})
    assert fetch([origin.url("/f")], tmp_path, origin_digest=False).done == 1


def test_another_size_than_the_list_says(library, tmp_path):
    (failed,) = fetch([{"url": library.url("/d/f2"), "size": 99}], tmp_path)
    assert failed.problem == "the origin has 100 bytes, the list says 99"


def test_what_is_there_and_not_ours_stays(library, tmp_path):
    (tmp_path / "f2").write_bytes(b"mine")
    (failed,) = fetch(urls(library)[:4], tmp_path)
    assert (failed.path, failed.error) == ("f2", "TargetError")
    assert there(tmp_path)["f2"] == b"mine"
    assert fetch(urls(library)[:4], tmp_path, skip_existing=True).skipped == 4
    assert fetch(urls(library)[:4], tmp_path, overwrite=True).done == 1
    assert there(tmp_path)["f2"] == library.files["/d/f2"]


def test_what_was_changed_here_is_not_ours_any_more(library, tmp_path):
    fetch(urls(library), tmp_path)
    (tmp_path / "f3").write_bytes(b"mine")
    (tmp_path / "f4").unlink()
    report = fetch(urls(library), tmp_path)
    assert (report.done, report.failed) == (1, 1)
    assert there(tmp_path)["f3"] == b"mine"


def test_only_what_has_changed(library, tmp_path):
    def answer(handler, seen):
        if seen.headers.get("if-none-match") != '"v1"' or seen.path == "/d/f3":
            return False
        handler.start(304, {"ETag": '"v1"'})
        return True

    library.on(answer, None, lambda seen: True)
    del library.files["/d/f0"]  # of what is empty no version is told
    fetch(urls(library), tmp_path)
    library.files["/d/f3"] = b"new"
    report = fetch(urls(library), tmp_path, order={"if_changed": True})
    assert (report.done, report.skipped) == (1, len(library.files) - 1)
    assert there(tmp_path)["f3"] == b"new"


def test_the_machine_was_started_anew(library, tmp_path, monkeypatch):
    """What had not been brought to the disk may not have survived that: it is fetched again."""
    never = lambda self: None  # noqa: E731
    monkeypatch.setattr("raydl.output.settling.Settling.finish", never)
    fetch(urls(library), tmp_path)
    monkeypatch.setattr("raydl.output.ledger.boot_id", lambda: "another")
    assert fetch(urls(library), tmp_path).done == len(library.files)
    assert fetch(urls(library), tmp_path).skipped == len(library.files)
    monkeypatch.setattr("raydl.output.ledger.boot_id", lambda: "a third")
    assert fetch(urls(library), tmp_path).done == len(library.files)


def test_what_is_on_the_disk_counts_after_that_too(library, tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.output.settling.LAST_SECONDS", 30)
    fetch(urls(library), tmp_path)
    monkeypatch.setattr("raydl.output.ledger.boot_id", lambda: "another")
    assert fetch(urls(library), tmp_path).skipped == len(library.files)


def test_two_lines_for_one_file(library, tmp_path):
    report = fetch(urls(library) * 3, tmp_path)
    assert (report.done, report.failed) == (len(library.files), 0)
    assert report.skipped == 2 * len(library.files)


def test_two_lines_for_one_large_file(make_origin, tmp_path):
    origin = make_origin(random_bytes(LARGEST + 1))
    report = fetch([origin.url()] * 3, tmp_path)
    assert (report.done, report.skipped, report.failed) == (1, 2, 0)


def test_two_files_of_one_name_are_told_before_anything(library, tmp_path):
    other = library.url("/e/f1")
    with pytest.raises(UsageError, match="f1 would be the name of 2 files, number 2 and 12"):
        fetch([*urls(library), other], tmp_path)
    assert library.requests == []
    assert fetch([*urls(library), other], tmp_path, order={"name": "{path}"}).failed == 0


def test_reports(library, tmp_path):
    library.on(status(404), None, only("/d/f1"))
    folder = tmp_path / "d"
    fetch(urls(library), folder, order={"report": str(tmp_path / "r.jsonl")})
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert len(rows) == len(library.files)
    assert {row["state"] for row in rows} == {"done", "failed"}
    fetch(urls(library), folder, order={"report": str(tmp_path / "r.csv")})
    with (tmp_path / "r.csv").open() as file:
        states = [row["state"] for row in csv.DictReader(file)]
    assert sorted(states) == ["failed", *["skipped"] * (len(rows) - 1)]
    with pytest.raises(UsageError, match="its ending is"):
        fetch(urls(library), folder, order={"report": "r.txt"})


def test_a_report_for_pandas(library, tmp_path):
    pytest.importorskip("pandas")
    library.on(status(404), None, only("/d/f1"))
    frame = fetch(urls(library), tmp_path).to_pandas()
    assert list(frame["path"]) == ["f1"]


def test_a_report_in_parquet(library, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    fetch(urls(library), tmp_path / "d", order={"report": str(tmp_path / "r.parquet")})
    assert parquet.read_table(tmp_path / "r.parquet").num_rows == len(library.files)


def test_a_list_from_a_file(library, tmp_path):
    path = tmp_path / "list"
    path.write_text("\n".join(f"{url}\tin/{n}" for n, url in enumerate(urls(library))))
    options = Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path / "d")})
    report = run_many(Order(read_list(str(path))), options)
    assert report.done == len(library.files)
    assert (tmp_path / "d" / "in" / "4").read_bytes() == library.files["/d/f4"]


def test_cancelling_keeps_what_came(library, tmp_path):
    control, events = Control(), []

    def heard(event):
        if isinstance(event, FileEnded):
            control.cancel()

    with pytest.raises(CancelledError):
        run_many(
            Order(entries(urls(library) * 1)),
            Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path)}),
            heard,
            control,
        )
    assert events == []
    came = there(tmp_path)
    assert came
    assert all(library.files[f"/d/{name}"] == data for name, data in came.items())
    report = fetch(urls(library), tmp_path)
    assert report.done + report.skipped == len(library.files)
    assert report.failed == 0


def test_an_origin_that_wants_fewer_requests(library, tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.model.backoff.FIRST", 0.01)
    library.on(status(429, Retry_After="0"), 3, lambda seen: True)
    assert fetch(urls(library), tmp_path).done == len(library.files)


def test_a_full_disk_ends_it(library, tmp_path, monkeypatch):
    def write(fd, data):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("raydl.output.newfile.os.write", write)
    with pytest.raises(OutputError, match="the disk is full"):
        fetch(urls(library)[1:], tmp_path)
    assert there(tmp_path) == {}


def test_a_name_says_nothing_of_the_disk(library, tmp_path):
    path = "the disk is full/quota/read-only/f"
    (tmp_path / "the disk is full").write_bytes(b"mine")
    report = fetch([(url, path) if url.endswith("/f3") else url for url in urls(library)], tmp_path)
    assert list(failures(report)) == [path]
    assert report.done == len(library.files) - 1


def test_one_batch_that_is_late_holds_nobody_up(library, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "OVERDUE_SECONDS", 0.2)
    monkeypatch.setattr("raydl.many.host.FIRST_SECONDS", 0.001)
    release = library.release

    def hang(handler, seen):
        release.wait(20)
        return False

    library.on(hang, 1, only("/d/f2"))
    items = [(library.url(f"/d/f{n % 3 + 1}"), f"{n}") for n in range(60)]
    report = fetch(items, tmp_path, max_connections_per_origin=1)
    assert report.done == 60


def test_private_headers_go_to_the_first_host_alone(make_origin, tmp_path):
    one, two, events = make_origin(b"1"), make_origin(b"2"), []
    items = [(one.url(), "1"), (two.url(), "2")]
    fetch(items, tmp_path, header=["X-Key: secret"], events=events)
    assert one.requests[0].headers["x-key"] == "secret"
    assert "x-key" not in two.requests[0].headers
    told = [event.text for event in events if isinstance(event, Notice)]
    assert told == ["headers, user, token and certificate go to 127.0.0.1 alone, the first host"]
    assert b"secret" not in (tmp_path / NAME).read_bytes()


def test_credentials_in_a_url_go_nowhere_else(make_origin, tmp_path):
    one = make_origin(b"1")
    url = one.url().replace("http://", "http://me:secret@")
    events = []
    fetch([(url, "1"), (one.url(), "2")], tmp_path, events=events)
    assert sorted("authorization" in seen.headers for seen in one.requests) == [False, True]
    assert "secret" not in repr(events)
    assert b"secret" not in (tmp_path / NAME).read_bytes()


def test_an_origin_that_ignores_ranges_now_and_then(library, tmp_path):
    library.on(ignore_range, 4)
    report = fetch(urls(library), tmp_path)
    assert report.done == len(library.files)


def test_only_one_run_in_a_directory(library, tmp_path):
    def heard(event):
        if isinstance(event, FileEnded) and not refused:
            refused.append(True)
            with pytest.raises(TargetError, match="another raydl fetches many files"):
                fetch(urls(library), tmp_path)

    refused = []
    run_many(
        Order(entries(urls(library))),
        Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path)}),
        heard,
    )
    assert refused


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"checksum": "md5:" + "0" * 32}, "checksum= is for one file"),
    ],
)
def test_what_is_for_one_file(library, tmp_path, options, what):
    with pytest.raises(UsageError, match=what):
        fetch(urls(library), options.pop("output_dir", tmp_path), **options)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_it_the_same_command_goes_on(library, tmp_path, how):
    """Also where a file had its name, and nobody could note that any more."""
    for number in range(300):
        library.files[f"/d/g{number}"] = b"%d" % number * 100
    library.on(slowly, None, lambda seen: True)
    (tmp_path / "list").write_text("\n".join(urls(library)))
    command = [*RAYDL, "fetch", "-i", "list", "--output-dir", "d", "--address", "none"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stderr=log)
        wait_until(lambda: len(there(tmp_path / "d")) > 40)
        process.send_signal(how)
        assert process.wait(20) == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -9)
    assert "Traceback" not in (tmp_path / "log").read_text()
    left = there(tmp_path / "d")
    assert all(library.files[f"/d/{name}"] == data for name, data in left.items())
    library.rules.clear()
    asked = len(library.requests)
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert (done.returncode, report["failed"]) == (0, 0), done.stderr
    assert report["done"] + report["skipped"] == len(library.files)
    assert report["skipped"] > 0
    assert len(library.requests) - asked < len(library.files)
    assert len(there(tmp_path / "d")) == len(library.files)


def test_what_a_killed_run_had_put_there_gives_way_to_what_is_there_now(
    library, tmp_path, monkeypatch
):
    small = [path for path, data in library.files.items() if 0 < len(data) < FIRST]

    def version(number):
        library.headers["ETag"] = f'"v{number}"'
        library.files.update({path: b"%d" % number * len(library.files[path]) for path in small})

    fetch(urls(library), tmp_path)
    with monkeypatch.context() as patch:  # it was killed before it could note that they came
        patch.setattr("raydl.many.landing.Here.note", lambda *_: None)
        version(2)
        fetch(urls(library), tmp_path, order={"if_changed": True})
    version(3)
    mine = tmp_path / small[0][3:]
    mine.write_bytes(b"my own")
    report = fetch(urls(library), tmp_path, order={"if_changed": True})
    (problem,) = (each.problem for each in report if each.error)
    assert f"{mine} exists already, and is not what came now: somebody's, or of a run" in problem
    assert problem.endswith("; --overwrite replaces it")
    mine.write_bytes(library.files[small[0]])
    assert there(tmp_path) == {path[3:]: data for path, data in library.files.items()}


def wait_until(state, seconds=30):
    end = time.monotonic() + seconds
    while not state():
        assert time.monotonic() < end
        time.sleep(0.01)


def slowly(handler, seen):
    handler.origin.release.wait(0.05)
    return False


def test_what_is_private_goes_to_no_other_host_however_large_its_files_are(make_origin, tmp_path):
    one, large = make_origin(b"1"), make_origin(random_bytes(LARGEST + 1))
    fetch([(one.url(), "1"), (large.url(), "2")], tmp_path, header=["X-Key: secret"])
    assert large.requests
    assert not any("x-key" in seen.headers for seen in large.requests)


def test_nor_where_a_redirect_leads(make_origin, tmp_path):
    one, two = make_origin(b""), make_origin(random_bytes(3 * FIRST))
    one.on(status(302, Location=two.url("/there")), None, lambda seen: True)
    report = fetch([(one.url(), "1")], tmp_path, header=["X-Key: secret"])
    assert report.failed == 0
    assert there(tmp_path)["1"] == two.data
    assert all("x-key" in seen.headers for seen in one.requests)
    assert not any("x-key" in seen.headers for seen in two.requests)


def test_nor_the_next_time(make_origin, tmp_path):
    one, two = make_origin(b"1"), make_origin(b"2")
    two.on(status(404), 1, lambda seen: True)
    for _ in range(2):
        fetch([(one.url(), "1"), (two.url(), "2")], tmp_path, header=["X-Key: secret"])
    assert len(two.requests) == 2
    assert not any("x-key" in seen.headers for seen in two.requests)


def test_what_was_begun_and_is_somebodys_stays(library, tmp_path):
    control, is_cancelled = Control(), threading.Event()
    library.on(lambda handler, seen: is_cancelled.wait(60) and False, None, only("/d/f4"))

    def heard(event):
        if isinstance(event, FilesNow) and library.requests:
            control.cancel()
            is_cancelled.set()

    options = Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path)})
    with pytest.raises(CancelledError):
        run_many(Order(entries(urls(library))), options, heard, control)
    name = next(path[3:] for path in library.files if path[3:] not in there(tmp_path))
    (tmp_path / name).write_bytes(b"mine")
    report = fetch(urls(library), tmp_path)
    assert (tmp_path / name).read_bytes() == b"mine"
    assert list(failures(report)) == [name]


def test_what_is_changed_while_a_newer_one_comes_stays(library, tmp_path):
    fetch(urls(library)[:4], tmp_path)
    library.headers["ETag"] = '"v2"'
    mine = tmp_path / "f3"

    def edit(handler, seen):
        mine.write_bytes(b"mine")
        return False

    library.on(edit, None, only("/d/f3"))
    report = fetch(urls(library)[:4], tmp_path, order={"if_changed": True})
    assert mine.read_bytes() == b"mine"
    assert list(failures(report)) == ["f3"]


def test_what_is_replaced_keeps_its_mode(library, tmp_path):
    (tmp_path / "f3").write_bytes(b"mine")
    (tmp_path / "f3").chmod(0o600)
    fetch(urls(library)[:4], tmp_path, overwrite=True)
    assert (tmp_path / "f3").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("to", ["here", "shared"])
def test_a_large_one_that_replaces_a_private_file_is_private_while_it_comes(
    make_origin, tmp_path, to
):
    origin, modes = make_origin(random_bytes(LARGEST + 1)), set()
    fetch([origin.url("/l")], tmp_path, to=to)
    (tmp_path / "l").chmod(0o600)
    origin.data, origin.headers["ETag"] = random_bytes(LARGEST + 2), '"v2"'

    def look(handler, seen):
        parts = []
        while not parts:  # nothing is in it before
            parts = [part for part in tmp_path.glob(".raydl-*.part") if part.stat().st_size]
        modes.update(part.stat().st_mode & 0o777 for part in parts)
        return False

    origin.on(look, None, lambda seen: seen.is_part and seen.range[0] > LARGEST // 2)
    report = fetch([origin.url("/l")], tmp_path, order={"if_changed": True}, to=to)
    assert (report.done, modes) == (1, {0o600})
    assert there(tmp_path) == {"l": origin.data}


def test_a_relative_directory(make_origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small, large = make_origin(b"s"), make_origin(random_bytes(LARGEST + 1))
    assert fetch([(small.url(), "a/s"), (large.url(), "a/l")], "data").failed == 0
    assert there(tmp_path / "data") == {"a/s": b"s", "a/l": large.data}
    assert fetch([(small.url(), "a/s"), (large.url(), "a/l")], "data").skipped == 2


def test_a_digest_that_the_list_has_by_now_is_compared(library, tmp_path):
    url = library.url("/d/f3")
    fetch([url], tmp_path)
    wrong = fetch([{"url": url, "digest": "sha256:" + "0" * 64}], tmp_path)
    assert [kind for kind, _ in failures(wrong).values()] == ["ChecksumError"]
    digest = hashlib.sha256(library.files["/d/f3"]).hexdigest()
    assert fetch([{"url": url, "digest": f"sha256:{digest}"}], tmp_path).failed == 0


def test_a_size_that_the_list_has_where_the_origin_tells_none(make_origin, tmp_path):
    origin = make_origin(b"hello")
    origin.on(chunked, None, lambda seen: True)
    report = fetch([{"url": origin.url("/f"), "size": 1000}], tmp_path)
    assert [kind for kind, _ in failures(report).values()] == ["WrongAnswerError"]
    assert there(tmp_path) == {}


@pytest.mark.parametrize("to", ["here", "shared"])
@pytest.mark.parametrize("is_there", [True, False])
def test_a_large_one_of_another_size_never_has_its_name(
    make_origin, tmp_path, monkeypatch, is_there, to
):
    origin, target, moved = make_origin(random_bytes(LARGEST + 9)), tmp_path / "f", []
    origin.on(chunked, None, lambda seen: True)
    move = PartFile.move
    monkeypatch.setattr(PartFile, "move", lambda part, *how: [moved.append(part), move(part, *how)])
    if is_there:
        target.write_bytes(b"mine")
    items = [{"url": origin.url("/f"), "size": LARGEST + 5}]
    report = fetch(items, tmp_path, overwrite=is_there, to=to)
    (failed,) = report
    assert failed.problem == f"the origin has {LARGEST + 9} bytes, the list says {LARGEST + 5}"
    assert not moved
    assert there(tmp_path) == ({"f": b"mine"} if is_there else {})


def test_a_list_that_comes_slowly_holds_nothing_up(library, tmp_path):
    asked = []

    def slow():
        yield library.url("/d/f1")
        wait_until(lambda: library.requests)
        asked.append(True)
        yield library.url("/d/f2")

    options = Options.of({"address": "none", "progress": "none", "output_dir": str(tmp_path)})
    assert run_many(Order(entries(slow())), options).done == 2
    assert asked


def test_many_hosts_get_no_more_lanes_than_there_are(make_origin, tmp_path):
    origin = make_origin(b"x")
    most = []

    def count(handler, seen):
        most.append(sum(t.name.startswith("raydl-files") for t in threading.enumerate()))
        return slowly(handler, seen)

    origin.on(count, None, lambda seen: True)
    urls = [origin.url().replace("http://", f"http://u{n}:p@") for n in range(200)]
    report = fetch([(url, str(n)) for n, url in enumerate(urls)], tmp_path)
    assert report.failed == 0
    assert max(most) <= 64


def test_names_that_are_given_by_the_number_are_known_the_next_time(library, tmp_path):
    items = [library.url("/d/f1"), library.url("/d/f1")]
    assert fetch(items, tmp_path, order={"name": "{number}"}).done == 2
    assert fetch(items, tmp_path, order={"name": "{number}"}).skipped == 2


def test_a_host_that_is_gone_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.model.backoff.FIRST", 0.01)
    monkeypatch.setattr("raydl.many.host.GONE_SECONDS", 0.5)
    report = fetch([f"http://127.0.0.1:1/{n}" for n in range(2000)], tmp_path)
    assert report.failed == 2000


def test_an_account_that_is_anothers_is_not_obeyed(library, tmp_path):
    (tmp_path / "else").write_bytes(b"")
    (tmp_path / NAME).symlink_to(tmp_path / "else")
    with pytest.raises((TargetError, OutputError)):
        fetch(urls(library), tmp_path)


def test_a_lane_keeps_its_pace_from_one_batch_to_the_next(library, monkeypatch):
    """Its first request, too, comes so long after the call, for there was one before."""
    slept = []
    monkeypatch.setattr("raydl.workers.smallfiles.time.sleep", slept.append)
    worker = Worker()
    source = Source(library.url("/d/f1"), None, None, None, Access(), 5.0)
    wishes = [Wish(library.url(f"/d/f{n}"), None, "", False, None, False) for n in (1, 2)]
    outcomes = SmallFiles(worker.lent).fetch(source, 1, wishes, 7.0, bytearray())
    worker.close()
    assert [state for state, *_ in outcomes] == ["done", "done"]
    assert [round(seconds) for seconds in slept] == [7, 7]


def test_a_large_one_that_has_not_changed_is_not_fetched_again(make_origin, tmp_path):
    origin = make_origin(random_bytes(LARGEST + 1))

    def unchanged(handler, seen):
        if seen.headers.get("if-none-match") != origin.headers["ETag"]:
            return False
        handler.start(304, origin.headers)
        return True

    origin.on(unchanged, None)
    fetch([origin.url("/l")], tmp_path)
    asked = len(origin.requests)
    report = fetch([origin.url("/l")], tmp_path, order={"if_changed": True})
    assert (report.skipped, report.done) == (1, 0)
    assert len(origin.requests) == asked + 1
    origin.headers["ETag"] = '"v2"'
    assert fetch([origin.url("/l")], tmp_path, order={"if_changed": True}).done == 1


def test_on_a_full_disk_that_is_what_is_said(library, tmp_path, monkeypatch):
    """SQLite has then taken back what it was about to write, and has nothing to commit."""

    def full(self, data):
        raise DiskError(f"cannot write {self._target}: the disk is full", "free some space")

    def save(self):
        self._one("COMMIT")
        self._one("COMMIT")

    monkeypatch.setattr("raydl.output.newfile.NewFile.write", full)
    with pytest.raises(OutputError, match="f1: the disk is full"):
        fetch(urls(library)[1:2], tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("raydl.output.ledger.Ledger.save", save)
    with pytest.raises(OutputError, match="the disk is full") as raised:
        fetch(urls(library), tmp_path)
    assert "remove it" not in str(raised.value)


def test_a_large_one_that_somebody_changes_while_a_newer_one_comes_stays(make_origin, tmp_path):
    origin, mine = make_origin(random_bytes(LARGEST + 1)), tmp_path / "l"
    fetch([origin.url("/l")], tmp_path)
    origin.data = random_bytes(LARGEST + 2)
    origin.headers["ETag"] = '"v2"'

    def edit(handler, seen):
        mine.write_bytes(b"mine")
        return False

    origin.on(edit, 1, lambda seen: seen.is_part and seen.range[0] > 0)
    report = fetch([{"url": origin.url("/l"), "size": LARGEST + 2}], tmp_path)
    assert list(failures(report)) == ["l"]
    assert mine.read_bytes() == b"mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [NAME, "l"]
    mine.unlink()
    assert fetch([{"url": origin.url("/l"), "size": LARGEST + 2}], tmp_path).done == 1
    assert mine.read_bytes() == origin.data


def test_a_large_one_that_a_killed_run_had_put_there_is_known(make_origin, tmp_path, monkeypatch):
    origin = make_origin(random_bytes(LARGEST + 1))
    with monkeypatch.context() as patch:  # it was killed before it could note that
        patch.setattr("raydl.many.landing.Here.note", lambda *_: None)
        fetch([origin.url("/l")], tmp_path)
    assert fetch([origin.url("/l")], tmp_path).done == 1
    assert there(tmp_path) == {"l": origin.data}
    assert fetch([origin.url("/l")], tmp_path).skipped == 1
