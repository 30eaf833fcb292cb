"""Files of Metalinks: mirrors that are dead or lie, pieces that are bad, runs that are killed."""

import contextlib
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from raydl.download.download import run
from raydl.download.mirrorsearch import SPOT, SPOTS
from raydl.many.host import GONE_SECONDS
from raydl.many.lists import read_list
from raydl.many.metalink import parse
from raydl.many.run import Order, run_many
from raydl.model.control import Control
from raydl.model.errors import CancelledError, UsageError
from raydl.model.events import Notice, PartFailed
from raydl.model.fileevents import FileEnded, FilesNow
from raydl.scheduler.hedging import Hedging
from raydl.settings.options import Options
from raydl.workers.smallfiles import LARGEST
from raydl.workers.worker import Request
from tests import scripted
from tests.conftest import RAYDL, random_bytes
from tests.metalinks import file_of, metalink
from tests.scripted import anything, lying, status
from tests.servers import nginx

pytestmark = pytest.mark.usefixtures("no_leaks")

MIB = 1 << 20
OLD = "Mon, 06 Jan 2025 10:00:00 GMT"
SMALL = random_bytes(300_000, seed=3)
LARGE = random_bytes(LARGEST + 5 * MIB + 12_345, seed=4)


def write(tmp_path, *files):
    path = tmp_path / "list.meta4"
    path.write_bytes(metalink(*files))
    return str(path)


def fetch(path, directory, *, told=None, events=None, control=None, **options):
    def heard(event):
        if events is not None:
            events.append(event)
        if told is not None and isinstance(event, Notice):
            told.append(str(event))

    return run_many(
        Order(read_list(path), lambda: read_list(path)),
        Options.of({
            "address": "none", "progress": "none", "output_dir": str(directory),
            "retries": 1, **options,
        }),
        heard,
        control,
    )  # fmt: skip


def dead():
    return "http://127.0.0.1:1/f"


def sent(origin):
    """Bytes of the file that were asked for."""
    return sum(seen.range[1] + 1 - seen.range[0] for seen in origin.parts)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_it_comes_from_the_next_mirror_where_the_best_is_dead(make_origin, tmp_path, data):
    gone, good = make_origin(data), make_origin(data)
    gone.on(status(404), None, anything)
    urls = [dead(), gone.url(), good.url()]
    path = write(tmp_path, file_of(data, urls, length=MIB))
    told = []
    report = fetch(path, tmp_path / "d", told=told)
    assert (report.done, report.failed) == (1, 0)
    assert (tmp_path / "d" / "f.iso").read_bytes() == data
    assert [re.sub(r":\d+| \(2 tries\)", "", text) for text in told] == [
        "f.iso: the mirror 127.0.0.1 is left out: 127.0.0.1 refuses the connection",
        "f.iso: the mirror 127.0.0.1 is left out: 127.0.0.1 answered 404 Not Found",
    ]
    assert fetch(path, tmp_path / "d").skipped == 1


def test_a_dead_mirror_is_not_waited_for_once_for_each_file(make_origin, tmp_path):
    good = make_origin(SMALL)
    files = [file_of(SMALL, [dead(), good.url(f"/{n}")], name=f"f{n}") for n in range(50)]
    report = fetch(write(tmp_path, *files), tmp_path / "d")
    assert report.done == 50
    assert report.seconds < GONE_SECONDS / 3


def test_a_mirror_that_many_files_do_without_is_told_once(make_origin, tmp_path):
    gone, good = make_origin(SMALL), make_origin(SMALL)
    gone.on(status(404), None, anything)
    urls = [[gone.url(f"/{n}"), good.url(f"/{n}")] for n in range(20)]
    files = [file_of(SMALL, each, name=f"f{n}") for n, each in enumerate(urls)]
    told = []
    assert fetch(write(tmp_path, *files), tmp_path / "d", told=told).done == 20
    assert len([text for text in told if "is left out" in text]) == 1


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("length", [0, MIB])
@pytest.mark.parametrize("is_first", [True, False], ids=["liar first", "liar second"])
def test_a_lying_mirror_is_found_out(make_origin, tmp_path, data, length, is_first):
    liar, good = make_origin(data), make_origin(data)

    def is_no_spot(seen):
        """Blocks that are compared before it joins are right."""
        return seen.is_part and seen.range[1] - seen.range[0] + 1 != SPOT

    liar.on(lying(*range(100, len(data), 65_536)), None, is_no_spot)
    joins = threading.Event()

    def count(handler, seen):
        if length or len(liar.parts) >= SPOTS:
            joins.set()
        return False

    def wait(handler, seen):
        """Let the liar have its part of it."""
        joins.wait(30)
        return False

    if not is_first and data is LARGE:
        liar.on(count, None, anything)
        good.on(wait, None, lambda seen: is_no_spot(seen) and seen.range[0] > 2 * MIB)
    urls = [liar.url(), good.url()] if is_first else [good.url(), liar.url()]
    path = write(tmp_path, file_of(data, urls, length=length))
    assert fetch(path, tmp_path / "d").done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("length", [0, MIB])
def test_a_digest_that_no_mirror_has(make_origin, tmp_path, data, length):
    """Nobody is asked for all of it again and again."""
    origin = make_origin(data)
    urls = [origin.url(f"/{n}") for n in range(50)]
    text = file_of(data, urls, length=length).replace('sha-256">', 'sha-256">00', 1)
    text = re.sub(r'(sha-256">00[0-9a-f]{62})..', r"\1", text)
    (failed,) = fetch(write(tmp_path, text), tmp_path / "d", connections=1)
    assert failed.error == "ChecksumError"
    asked = sum(seen.range[1] + 1 - seen.range[0] for seen in origin.parts)
    assert asked <= 5 * max(len(data), MIB)
    assert not list((tmp_path / "d").glob("f.iso*"))


def test_of_three_mirrors_one_lies_in_one_piece(make_origin, tmp_path):
    origins = [make_origin(LARGE) for _ in range(3)]
    origins[0].on(lying(3 * MIB + 5), None)
    path = write(tmp_path, file_of(LARGE, [o.url() for o in origins], length=MIB, whole=False))
    told = []
    assert fetch(path, tmp_path / "d", told=told).done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == LARGE
    assert not [text for text in told if "left out" in text]


def test_two_mirrors_with_all_bytes_of_another_file(make_origin, tmp_path):
    other = random_bytes(len(LARGE), seed=9)
    liars, good = [make_origin(other), make_origin(other)], make_origin(LARGE)
    urls = [liars[0].url(), liars[1].url(), good.url()]
    path = write(tmp_path, file_of(LARGE, urls, length=MIB))
    told = []
    assert fetch(path, tmp_path / "d", told=told).done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == LARGE
    assert [text for text in told if "is left out from here: piece" in text]


def test_bad_pieces_of_the_only_mirror_end_it_and_name_both(make_origin, tmp_path):
    origin = make_origin(LARGE)
    origin.on(lying(9 * MIB), None)
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    report = fetch(path, tmp_path / "d", connections=1)
    (failed,) = report
    assert failed.error == "BadPieceError"
    assert failed.problem.startswith("piece 10 of 22 (bytes 9437184 to 10485759) from http://127.")
    assert not (tmp_path / "d" / "f.iso").exists()
    kept = (tmp_path / "d" / "f.iso.part").read_bytes()
    assert kept[: 9 * MIB] == LARGE[: 9 * MIB]
    before = len(origin.parts)
    origin.rules.clear()
    assert fetch(path, tmp_path / "d").done == 1
    assert all(seen.range[0] >= 9 * MIB for seen in origin.parts[before:])


@pytest.mark.parametrize("size", [5, LARGEST + 5, 10**17])
def test_a_size_that_lies(make_origin, tmp_path, size):
    origin = make_origin(LARGE[:1000])
    path = write(tmp_path, file_of(LARGE[:1000], [origin.url()], size=size))
    (failed,) = fetch(path, tmp_path / "d")
    assert failed.problem == f"the origin has 1000 bytes, the list says {size}"
    assert not list((tmp_path / "d").glob("f.iso*"))


@pytest.mark.parametrize("size", [10 * MIB, 40 * MIB])
def test_a_size_that_lies_of_a_large_one(make_origin, tmp_path, size):
    origin = make_origin(LARGE)
    path = write(tmp_path, file_of(LARGE, [origin.url()], size=size))
    (failed,) = fetch(path, tmp_path / "d")
    assert failed.problem == f"the origin has {len(LARGE)} bytes, the list says {size}"
    assert not origin.parts or origin.parts[0].range == (0, MIB - 1)


def test_pieces_too_large_to_compare_leave_the_digest_of_the_file(make_origin, tmp_path):
    good, told = make_origin(LARGE), []
    for whole in (True, False):
        path = write(tmp_path, file_of(LARGE, [good.url()], length=8 * MIB, whole=whole))
        report = fetch(path, tmp_path / str(whole), told=told, max_memory="32MiB")
        assert report.done == whole
    (failed,) = report
    assert failed.problem == (
        "no digest of the whole file is known, and pieces of 8 MiB are too large for --max-memory"
    )


def test_an_origin_without_ranges(make_origin, tmp_path):
    origin = make_origin(LARGE, ranges=False)
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    assert fetch(path, tmp_path / "d").done == 1
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB, whole=False))
    (failed,) = fetch(path, tmp_path / "e")
    assert failed.problem.startswith("no digest of the whole file is known, and the origin")


def test_a_small_file_with_nothing_but_pieces(make_origin, tmp_path):
    liar, good = make_origin(SMALL), make_origin(SMALL)
    liar.on(lying(0), None)
    path = write(tmp_path, file_of(SMALL, [liar.url(), good.url()], length=9999, whole=False))
    assert fetch(path, tmp_path / "d").done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == SMALL


def test_pieces_of_one_byte_come_too(make_origin, tmp_path):
    data = random_bytes(5000)
    good = make_origin(data)
    path = write(tmp_path, file_of(data, [good.url()], length=1, whole=False))
    assert fetch(path, tmp_path / "d").done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == data


def test_another_mirror_goes_on_with_what_the_first_brought(make_origin, tmp_path):
    first, second = make_origin(LARGE), make_origin(LARGE, headers={"ETag": '"other"'})
    came, control = threading.Event(), Control()

    def stop_at(handler, seen):
        came.set()
        return scripted.stall(0)(handler, seen)

    first.on(stop_at, None, lambda seen: seen.is_part and seen.range[1] > 8 * MIB)
    path = write(tmp_path, file_of(LARGE, [first.url(), second.url()], length=MIB))
    second.on(status(500), None, anything)
    ended = []

    def run():
        with contextlib.suppress(CancelledError):
            fetch(path, tmp_path / "d", control=control)
        ended.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    assert came.wait(30)
    part = tmp_path / "d" / "f.iso.part"
    while not (part.exists() and part.read_bytes()[:MIB] == LARGE[:MIB]):
        assert not ended
    control.cancel()
    first.release.set()
    thread.join()
    data = part.read_bytes()
    whole = [data[at : at + MIB] == LARGE[at : at + MIB] for at in range(0, len(LARGE), MIB)]
    second.rules.clear()
    first.rules.clear()
    first.on(status(404), None, anything)
    assert fetch(path, tmp_path / "d").done == 1
    assert (tmp_path / "d" / "f.iso").read_bytes() == LARGE
    assert min(seen.range[0] for seen in second.parts) >= whole.index(False) * MIB > 0


def part_fails_once(part, least):
    """The origin is gone once so much has been written."""

    def behave(handler, seen):
        while not (part.exists() and part.stat().st_size >= least):
            threading.Event().wait(0.01)
        return status(410)(handler, seen)

    return behave


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
@pytest.mark.parametrize("runs", [1, 2])
def test_what_one_mirror_brought_is_not_gone_on_with_at_another(
    make_origin, tmp_path, validator, runs
):
    """Nothing proves the bytes: that both say the same of their versions is no proof."""
    headers = {"ETag": None, validator: {"ETag": '"v1"'}.get(validator, OLD)}
    others = random_bytes(len(LARGE), seed=5)
    first, second = make_origin(LARGE, headers=headers), make_origin(others, headers=headers)
    dies = part_fails_once(tmp_path / "d" / "f.iso.part", 4 * MIB)
    first.on(dies, None, lambda seen: seen.is_part and seen.range[0] > 8 * MIB)
    path = write(tmp_path, file_of(LARGE, [first.url(), second.url()], whole=False))
    if runs == 2:
        second.on(status(404), None, anything)
        assert fetch(path, tmp_path / "d").failed == 1
        assert (tmp_path / "d" / "f.iso.part").stat().st_size >= 4 * MIB
        first.rules.clear()
        second.rules.clear()
        first.on(status(404), None, anything)
    report = fetch(path, tmp_path / "d")
    assert (report.done, report.failed) == (1, 0)
    assert (tmp_path / "d" / "f.iso").read_bytes() == others


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_what_a_mirror_says_of_its_version_is_no_condition_for_the_first_one(
    make_origin, tmp_path, data
):
    newer = data[::-1]
    first, behind = (make_origin(each, headers={"ETag": '"v1"'}) for each in (newer, data))

    def unchanged(handler, seen):
        if seen.headers.get("if-none-match") is None:
            return False
        handler.start(304, {})
        return True

    first.on(status(404), None, anything)
    path = write(tmp_path, file_of(data, [first.url(), behind.url()], whole=False))
    assert fetch(path, tmp_path / "d").done == 1
    first.rules.clear()
    first.on(unchanged, None, anything)
    options = {"address": "none", "progress": "none", "output_dir": str(tmp_path / "d")}
    for expected in ((1, 0), (0, 1)):
        again = Order(read_list(path), lambda: read_list(path), if_changed=True)
        report = run_many(again, Options.of(options))
        assert (report.done, report.skipped) == expected
        assert (tmp_path / "d" / "f.iso").read_bytes() == newer


def test_nothing_private_goes_to_mirrors(make_origin, tmp_path):
    first, second = make_origin(LARGE), make_origin(LARGE)
    other = re.sub("127.0.0.1", "localhost", second.url())
    first.on(lying(0, 5 * MIB), None)
    path = write(tmp_path, file_of(LARGE, [first.url(), other], length=MIB))
    assert fetch(path, tmp_path / "d", header="X-Token: hidden", user="me:hidden").done == 1
    assert "authorization" in first.requests[0].headers
    for seen in second.requests:
        assert not {"authorization", "x-token"} & set(seen.headers)
    first.on(status(404), None, anything)
    first.rules.reverse()
    before = len(second.requests)
    assert fetch(path, tmp_path / "e", header="X-Token: hidden").done == 1
    assert len(second.requests) > before
    for seen in second.requests:
        assert not {"authorization", "x-token"} & set(seen.headers)


def test_no_secret_of_a_mirror_is_told(make_origin, tmp_path):
    origin = make_origin(LARGE)
    origin.on(lying(0, 5 * MIB), None)
    urls = [origin.url(f"/f?token=hidden{n}").replace("//", "//me:hidden@") for n in range(2)]
    path = write(tmp_path, file_of(LARGE, urls, length=MIB))
    told = []
    (failed,) = fetch(path, tmp_path / "d", told=told)
    assert "hidden" not in f"{failed}{told}"


def test_killed_runs_keep_only_what_is_right(make_origin, tmp_path):
    origin, seen_far = make_origin(LARGE), threading.Event()

    def stall_far(handler, seen):
        seen_far.set()
        return scripted.stall(0)(handler, seen)

    origin.on(stall_far, None, lambda seen: seen.is_part and seen.range[1] > 12 * MIB)
    write(tmp_path, file_of(LARGE, [origin.url()], length=MIB, whole=False))
    command = [*RAYDL, "fetch", "-i", "list.meta4", "--address", "none", "--progress", "none"]
    process = subprocess.Popen(command, cwd=tmp_path)
    assert seen_far.wait(30)
    part = tmp_path / "f.iso.part"
    while not (part.exists() and part.read_bytes()[: 5 * MIB] == LARGE[: 5 * MIB]):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with part.open("r+b") as file:  # a disk that rots
        file.seek(2 * MIB)
        file.write(b"rot")
    origin.rules.clear()
    origin.release.set()
    before = len(origin.parts)
    ran = subprocess.run(command, cwd=tmp_path, check=False)
    assert ran.returncode == 0
    assert (tmp_path / "f.iso").read_bytes() == LARGE
    fetched = {seen.range for seen in origin.parts[before:]}
    assert (2 * MIB, 3 * MIB - 1) in fetched
    assert not any(first < 2 * MIB or 3 * MIB <= first < 5 * MIB for first, _ in fetched)


NGINX = """
  server {{ listen 127.0.0.1:{port}; server_name a; root {folder}/www; }}
"""


def test_of_three_real_servers_one_lies(tmp_path, monkeypatch):
    """The right file, and no more is fetched again than the bad pieces."""
    received, events, length = [], [], 256 << 10
    tally = Request.tally
    monkeypatch.setattr(
        Request, "tally", lambda self, count: (received.append(count), tally(self, count))
    )
    with contextlib.ExitStack() as stack:
        urls = []
        for number in range(3):
            folder = tmp_path / f"s{number}"
            (folder / "www").mkdir(parents=True)
            data = bytearray(LARGE)
            if number == 1:
                for at in range(0, len(data), MIB):
                    data[at + 3] ^= 1
            (folder / "www" / "f").write_bytes(data)
            os.utime(folder / "www" / "f", (1e9, 1e9))
            urls.append(f"http://127.0.0.1:{stack.enter_context(nginx(folder, NGINX))}/f")
        (item,) = parse(metalink(file_of(LARGE, urls, length=length))).files
        options = {"address": "none", "progress": "none", "mirror": urls[1:], "connections": 4}
        # Late parts are asked for twice, whoever lies: here none is.
        monkeypatch.setattr(Hedging, "look", lambda *_: None)
        # What is under way at the liar when it is left is asked for again only where it is bad.
        report = run(urls[0], str(tmp_path / "f"), Options.of(options), events.append, item=item)
    assert (tmp_path / "f").read_bytes() == LARGE
    bad = [event for event in events if isinstance(event, PartFailed)]
    assert all("piece" in event.reason for event in bad)
    again = sum(received) - len(LARGE)
    assert again % length == 0
    assert again <= 4 * length
    assert report.retries <= 4


# --- --repair ---


def rot(path, *positions):
    with path.open("r+b") as file:
        for position in positions:
            file.seek(position)
            byte = file.read(1)
            file.seek(position)
            file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_repair_fetches_bad_pieces_alone(make_origin, tmp_path, data, whole):
    origin, length = make_origin(data), 65_536
    path = write(tmp_path, file_of(data, [origin.url()], length=length, whole=whole))
    fetch(path, tmp_path / "d")
    target = tmp_path / "d" / "f.iso"
    rot(target, 5, 2 * length, len(data) - 1)
    before, events = len(origin.requests), []
    report = fetch(path, tmp_path / "d", repair=True, events=events)
    assert target.read_bytes() == data
    last = (len(data) - 1) // length * length
    assert (report.done, report.size) == (1, 2 * length + len(data) - last)
    (ended,) = (event.report for event in events if isinstance(event, FileEnded))
    assert ended.size == len(data)
    assert max(event.fetched for event in events if isinstance(event, FilesNow)) == report.size
    asked = sorted(seen.range for seen in origin.requests[before:] if seen.is_part)
    assert asked == [(0, length - 1), (2 * length, 3 * length - 1), (last, len(data) - 1)]
    before = len(origin.requests)
    again = fetch(path, tmp_path / "d", repair=True)
    assert (again.done, again.skipped) == (0, 1)
    assert len(origin.requests) == before
    assert sorted(p.name for p in target.parent.iterdir()) == [".raydl-files", "f.iso"]


def test_a_repair_mends_what_a_link_leads_to(make_origin, tmp_path):
    origin, length = make_origin(LARGE), 65_536
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=length))
    fetch(path, tmp_path / "d")
    link, target = tmp_path / "d" / "f.iso", tmp_path / "store" / "blob"
    target.parent.mkdir()
    link.rename(target)
    link.symlink_to("../store/blob")
    rot(target, 5)
    before = len(origin.requests)
    assert fetch(path, tmp_path / "d", repair=True).done == 1
    assert link.readlink() == Path("../store/blob")
    assert target.read_bytes() == LARGE
    assert [p.name for p in target.parent.iterdir()] == ["blob"]
    assert len([seen for seen in origin.requests[before:] if seen.is_part]) == 1
    assert fetch(path, tmp_path / "d", repair=True).skipped == 1


def test_a_repair_fetches_what_is_not_there_at_all(make_origin, tmp_path):
    origin = make_origin(LARGE)
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    assert fetch(path, tmp_path / "d", repair=True).done == 1


def test_a_repair_of_somebody_elses_file_of_that_name(make_origin, tmp_path):
    """It has no piece that is right: all of it comes, and only then it is replaced."""
    origin = make_origin(LARGE)
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f.iso").write_bytes(b"mine")
    origin.on(lying(*range(0, len(LARGE), MIB)), None)
    (failed,) = fetch(path, tmp_path / "d", repair=True)
    assert failed.error == "BadPieceError"
    assert (tmp_path / "d" / "f.iso").read_bytes() == b"mine"


def test_a_repair_where_no_mirror_serves_ranges(make_origin, tmp_path):
    origin = make_origin(LARGE, ranges=False)
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    fetch(path, tmp_path / "d")
    rot(tmp_path / "d" / "f.iso", 5)
    (failed,) = fetch(path, tmp_path / "d", repair=True)
    assert failed.problem.startswith("no single pieces can be fetched: ")


def test_a_repair_needs_pieces(origin, tmp_path):
    with pytest.raises(UsageError, match="for a Metalink's files"):
        run(origin.url(), str(tmp_path / "f"), Options.of({"repair": True, "progress": "none"}))


@pytest.mark.parametrize("to", ["every-node", "shared", "here"])
def test_a_repair_is_for_what_is_here(origin, tmp_path, to):
    path = write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    directory = "s3://bucket/d" if to == "here" else tmp_path / "d"
    with pytest.raises(UsageError, match="for a Metalink's files here"):
        fetch(path, directory, repair=True, to=to)


def test_a_repair_that_is_killed_leaves_the_file_and_goes_on(make_origin, tmp_path):
    origin, asked = make_origin(LARGE), threading.Event()

    def stall(handler, seen):
        asked.set()
        return scripted.stall(0)(handler, seen)

    write(tmp_path, file_of(LARGE, [origin.url()], length=MIB))
    target = tmp_path / "f.iso"
    target.write_bytes(LARGE)
    rot(target, 5, 9 * MIB)
    before = target.read_bytes()
    origin.on(stall, None, lambda seen: seen.is_part and seen.range[0] == 9 * MIB)
    command = [*RAYDL, "fetch", "--repair", "-i", "list.meta4", "--address", "none"]
    process = subprocess.Popen([*command, "--progress", "none"], cwd=tmp_path)
    assert asked.wait(30)
    part = tmp_path / "f.iso.part"
    while part.read_bytes()[:MIB] != LARGE[:MIB]:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert target.read_bytes() == before
    origin.rules.clear()
    origin.release.set()
    count = len(origin.parts)
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert target.read_bytes() == LARGE
    assert {seen.range for seen in origin.parts[count:]} == {(9 * MIB, 10 * MIB - 1)}


@pytest.mark.parametrize("whole", [True, False])
def test_pieces_in_a_shared_directory(make_origin, tmp_path, whole):
    """Where bytes land in any order they are compared, too."""
    liar, good = make_origin(LARGE), make_origin(LARGE)
    liar.on(lying(*range(5, len(LARGE), MIB)), None)
    urls = [liar.url(), good.url()]
    (item,) = parse(metalink(file_of(LARGE, urls, length=MIB))).files
    options = {"address": "none", "progress": "none", "mirror": urls[1:], "to": "shared"}
    if whole:
        options["checksum"] = item.digest
        report = run(urls[0], str(tmp_path / "f"), Options.of(options), item=item)
        assert report.digests == {"sha256": item.digest.hex}
        assert (tmp_path / "f").read_bytes() == LARGE
    else:
        with pytest.raises(UsageError, match="no digest of the whole file"):
            run(urls[0], str(tmp_path / "f"), Options.of(options), item=item)
