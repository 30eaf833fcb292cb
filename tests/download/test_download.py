"""Whole downloads on this machine: every fallback, resume, and the API around them."""

import gc
import hashlib
import json
import os
import threading
import time
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

import raydl
from raydl.download.download import run
from raydl.model import backoff
from raydl.model.control import Control
from raydl.model.events import (
    ClusterChosen,
    Failed,
    Finished,
    Notice,
    PartFailed,
    PartHedged,
    Planned,
    Probed,
    Resumed,
    Verifying,
)
from raydl.model.units import format_size
from raydl.output import filedigest, filesink
from raydl.settings.options import Options
from tests import scripted
from tests.conftest import random_bytes
from tests.scripted import anything, changed, chunked, cut_off, get, head, ignore_range, status

ALONE = {"address": "none", "progress": "none", "timeout": 5.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_leaks):
    monkeypatch.setattr(backoff, "FIRST", 0.001)


def fetch(origin, output=None, events=None, url=None, **options):
    on_event = None if events is None else events.append
    return raydl.fetch(url or origin.url(), output, on_event=on_event, **{**ALONE, **options})


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file(origin, in_tmp):
    events = []
    report = fetch(origin, events=events, parts=7)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert names(in_tmp) == ["file.bin"]
    assert (report.path, report.size, report.fetched) == ("file.bin", 1_000_003, 1_000_003)
    assert (report.parts, report.resumed, report.retries) == (7, 0, 0)
    assert [(share.node, share.bytes) for share in report.nodes] == [("this machine", 1_000_003)]
    assert 1 < len(origin.parts) <= 7  # neighbours may be asked for together
    assert isinstance(events[-1], Finished)
    assert [type(e) for e in events[:3]] == [ClusterChosen, Probed, Planned]


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_tiny_files_in_many_parts(make_origin, in_tmp, size):
    origin = make_origin(b"xyz"[:size])
    report = fetch(origin, parts=5, checksum="sha256:" + hashlib.sha256(origin.data).hexdigest())
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.parts == size


def test_many_small_parts_through_a_small_window(make_origin, in_tmp):
    origin = make_origin(random_bytes(3_000_000))
    report = fetch(origin, part_size=50_000, max_memory="1MiB", connections=6)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.parts >= 60


@pytest.mark.parametrize(
    ("ranges", "behaviour"),
    [(False, None), (True, scripted.chunked), (True, scripted.until_close)],
)
def test_one_stream(make_origin, in_tmp, ranges, behaviour):
    origin = make_origin(random_bytes(500_000), ranges=ranges)
    if behaviour:
        origin.on(behaviour, None, anything)
    events = []
    report = fetch(origin, events=events)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.parts == 1
    assert "one stream, because" in str(of(events, Probed)[0])


def test_promised_ranges_that_are_ignored(origin, in_tmp):
    origin.on(ignore_range, None)
    events = []
    fetch(origin, events=events, parts=4)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert any("one stream, from the start" in str(e) for e in of(events, Notice))


def test_a_head_that_lies_about_the_length(origin, in_tmp):
    origin.on(changed(headers={"Content-Length": "70000"}), None, head)
    events = []
    fetch(origin, events=events)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert any("looking at it again" in str(e) for e in of(events, Notice))


def test_a_file_that_changes_half_way_is_fetched_anew_and_never_mixed(make_origin, in_tmp):
    old, new = random_bytes(400_000, 1), random_bytes(400_000, 2)
    origin = make_origin(old)

    def change(handler, seen):
        origin.data, origin.headers = new, {"ETag": '"v2"'}
        return False

    origin.on(change, when=lambda seen: seen.is_part and seen.range[0] > 200_000)
    events = []
    fetch(origin, events=events, part_size=50_000, connections=1)
    assert (in_tmp / "file.bin").read_bytes() == new
    assert any("changed" in str(e) for e in of(events, Notice))


def test_a_file_that_changes_all_the_time_is_an_error(origin, in_tmp):
    versions = iter(range(1000))

    def change(handler, seen):
        handler.serve(seen, headers={"ETag": f'"{next(versions)}"'})
        return True

    origin.on(change, None, anything)
    with pytest.raises(raydl.OriginChangedError):
        fetch(origin)
    assert names(in_tmp) == []


@pytest.mark.parametrize(
    "behaviour",
    [
        status(503, Retry_After="0"),
        status(429),
        status(408),
        cut_off(10_000),
        cut_off(10_000, reset=True),
        scripted.shorter(1234),
    ],
)
def test_faults_that_pass(origin, in_tmp, behaviour):
    origin.on(behaviour, 5)
    report = fetch(origin, parts=6)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.fetched == len(origin.data)


def test_a_page_that_is_another_one_each_time(make_origin, in_tmp):
    """What is there in the end is one answer, whole, whatever was promised before."""
    origin, pages = make_origin(b"", ranges=False), []

    def page(handler, seen):
        number = len(pages)
        pages.append(bytes([number]) * (100_000 + number))
        headers = {"Content-Length": str(len(pages[number])), "ETag": f'"{number}"'}
        handler.start(200, headers)
        if seen.method == "GET":
            handler.wfile.write(pages[number])
        return True

    origin.on(page, None, anything)
    fetch(origin)
    assert (in_tmp / "file.bin").read_bytes() in pages


def test_a_page_of_unknown_size_that_is_cut_off(make_origin, in_tmp):
    """The probe got no length, the answer itself has one: it counts."""
    origin = make_origin(random_bytes(300_000), ranges=False)
    origin.on(chunked, 2, anything)
    origin.on(cut_off(100_000), None, anything)
    with pytest.raises(raydl.NetworkError, match="100000 of 300000"):
        fetch(origin, retries=1)


LOGIN = b"<html>please log in</html>"


def test_a_login_page_in_the_files_place(origin, in_tmp):
    """Half-way the session is over, and every request is answered with a page."""

    def login(handler, seen):
        page = {"Content-Type": "text/html", "Content-Length": str(len(LOGIN))}
        handler.start(200, page)
        handler.wfile.write(LOGIN)
        return True

    origin.on(login, None, lambda seen: seen.is_part and seen.range[0] > 500_000)
    with pytest.raises(raydl.OriginChangedError):
        fetch(origin, part_size=100_000, connections=1)
    assert "file.bin" not in names(in_tmp)
    assert LOGIN not in b"".join(path.read_bytes() for path in in_tmp.iterdir())


def test_a_refusal_that_says_when_to_come_back_in_other_words(origin, in_tmp):
    origin.on(status(429, RateLimit_Remaining="0", RateLimit_Reset="1"), 1)
    began = time.monotonic()
    fetch(origin, part_size=100_000)
    assert time.monotonic() - began >= 1
    assert (in_tmp / "file.bin").read_bytes() == origin.data


def test_a_stall_that_passes(origin, in_tmp):
    origin.on(scripted.stall(1000), 2)
    events = []
    fetch(origin, events=events, parts=6, timeout=0.3)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    # Another lane was asked for the same bytes, or the first gave up and tried again.
    assert len(of(events, PartHedged)) + len(of(events, PartFailed)) >= 2


@pytest.mark.parametrize("behaviour", [scripted.shift, status(404), status(403)])
def test_faults_that_do_not_pass(origin, in_tmp, behaviour):
    origin.on(behaviour, None)
    events = []
    with pytest.raises(raydl.RaydlError):
        fetch(origin, events=events, parts=4)
    assert isinstance(events[-1], Failed)
    assert "file.bin" not in names(in_tmp)


def test_retries_run_out(origin, in_tmp):
    origin.on(status(503), None)
    with pytest.raises(raydl.HttpError, match=r"503.*\(3 tries\)"):
        fetch(origin, parts=1, retries=2)


def test_a_probe_is_tried_again(origin, in_tmp):
    origin.on(status(503), 4, anything)
    events = []
    fetch(origin, events=events)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert any("503" in str(e) for e in of(events, Notice))


def test_not_found(origin, in_tmp):
    origin.on(status(404), None, anything)
    with pytest.raises(raydl.HttpError, match=r"answered 404.*; check the URL"):
        fetch(origin)


def test_an_origin_that_is_not_there(make_origin, in_tmp):
    origin = make_origin(b"x")
    url = origin.url()
    origin.__exit__()
    with pytest.raises(raydl.NetworkError, match="refuses the connection"):
        fetch(None, url=url)
    origin.__enter__()


@pytest.mark.parametrize("algorithm", ["sha256", "md5", "blake2b"])
def test_checksums(origin, in_tmp, algorithm):
    digest = hashlib.new(algorithm, origin.data, usedforsecurity=False).hexdigest()
    assert fetch(origin, checksum=f"{algorithm}:{digest}").digests == {algorithm: digest}
    with pytest.raises(raydl.ChecksumError):
        fetch(origin, "other", checksum="sha256:" + "0" * 64)
    assert names(in_tmp) == ["file.bin"]


class TestResume:
    def interrupt(self, origin, **options):
        """Stop after some parts, as a Ctrl-C would."""
        origin.on(status(404), None, lambda s: s.is_part and s.range[0] >= 500_000)
        with pytest.raises(raydl.HttpError):
            fetch(origin, **{"part_size": 100_000, "connections": 1, **options})
        origin.rules.clear()
        origin.requests.clear()

    def test_it_goes_on(self, origin, in_tmp):
        self.interrupt(origin)
        assert names(in_tmp) == ["file.bin.part", "file.bin.part.journal"]
        kept = (in_tmp / "file.bin.part").stat().st_size
        assert kept >= 400_000
        events = []
        checksum = "sha256:" + hashlib.sha256(origin.data).hexdigest()
        report = fetch(origin, events=events, checksum=checksum)
        assert (in_tmp / "file.bin").read_bytes() == origin.data
        assert report.resumed == kept
        assert report.fetched == len(origin.data) - kept
        assert f"from {format_size(kept)} (" in str(of(events, Resumed)[0])
        assert min(seen.range[0] for seen in origin.parts) == kept

    def test_not_if_the_file_changed(self, origin, in_tmp):
        self.interrupt(origin)
        origin.data, origin.headers = random_bytes(1_000_003, 9), {"ETag": '"v2"'}
        events = []
        report = fetch(origin, events=events)
        assert (in_tmp / "file.bin").read_bytes() == origin.data
        assert report.resumed == 0
        assert "changed" in str(of(events, Resumed)[0])

    @pytest.mark.parametrize("ranges", [True, False])
    def test_not_over_what_is_kept_of_another_url(self, origin, make_origin, in_tmp, ranges):
        self.interrupt(origin)
        kept = (in_tmp / "file.bin.part").read_bytes()
        other = make_origin(random_bytes(1_000_003, 9), ranges=ranges)
        with pytest.raises(raydl.TargetError) as caught:
            fetch(other, **{"user": "anna:hunter2"})
        assert f"of another URL, {origin.url()};" in str(caught.value)
        assert caught.value.exit_code == 7
        assert (in_tmp / "file.bin.part").read_bytes() == kept
        assert other.parts == []
        fetch(other, overwrite=True)
        assert (in_tmp / "file.bin").read_bytes() == other.data

    @pytest.mark.parametrize("before", ["application/zip", None])
    def test_a_login_page_that_is_there_instead_costs_nothing(self, origin, in_tmp, before):
        if before:
            origin.headers["Content-Type"] = before
        self.interrupt(origin)
        kept = (in_tmp / "file.bin.part").read_bytes()
        origin.on(lambda handler, _: answer(handler, LOGIN, "text/html"), None, anything)
        for checksum in (None, "sha256:" + "0" * 64):
            with pytest.raises(
                raydl.WrongAnswerError, match=r"a web page .*of 976.6 KiB"
            ) as caught:
                fetch(origin, checksum=checksum)
            assert caught.value.exit_code == 5
            assert "--no-resume takes the page" in caught.value.hint
        assert (in_tmp / "file.bin.part").read_bytes() == kept
        fetch(origin, "page")
        assert (in_tmp / "page").read_bytes() == LOGIN
        origin.rules.clear()
        assert fetch(origin).resumed == len(kept)
        assert (in_tmp / "file.bin").read_bytes() == origin.data

    def test_a_page_that_is_meant(self, origin, in_tmp):
        self.interrupt(origin)
        origin.on(lambda handler, _: answer(handler, LOGIN, "text/html"), None, anything)
        fetch(origin, resume=False)
        assert (in_tmp / "file.bin").read_bytes() == LOGIN

    def test_a_page_that_grew(self, origin, in_tmp):
        origin.headers["Content-Type"] = "text/html"
        self.interrupt(origin)
        origin.data = origin.data * 2
        fetch(origin)
        assert (in_tmp / "file.bin").read_bytes() == origin.data

    @pytest.mark.parametrize(
        ("raised", "ends"), [(KeyboardInterrupt, True), (raydl.NetworkError, False)]
    )
    def test_who_interrupts_it_waits_for_no_disk(self, origin, in_tmp, monkeypatch, raised, ends):
        ended = []

        class Closed(filesink.FileSink):
            def close(self):
                try:
                    self._check()
                    ended.append(False)
                except raydl.CancelledError:
                    ended.append(True)
                super().close()

        def on_event(event):
            if type(event).__name__ == "PartFetched":
                raise raised("here")

        monkeypatch.setattr("raydl.download.sinkchoice.FileSink", Closed)
        with pytest.raises(raised):
            raydl.fetch(origin.url(), on_event=on_event, **ALONE)
        assert ended == [ends]

    def test_cancelled_while_the_digest_is_waited_for(self, origin, in_tmp, monkeypatch):
        self.interrupt(origin)
        control, going, real = Control(), threading.Event(), filedigest.fill

        def slow(*args):
            assert going.wait(60)
            real(*args)

        def on_event(event):
            if isinstance(event, Verifying):
                control.cancel()
                going.set()

        monkeypatch.setattr(filedigest, "fill", slow)
        monkeypatch.setattr(filedigest, "HASH_SIZE", 1)
        options = Options.of({**ALONE, "checksum": "sha256:" + "0" * 64})
        with pytest.raises(raydl.CancelledError):
            run(origin.url(), None, options, on_event, control)
        assert control.kept == len(origin.data)
        assert fetch(origin).fetched == 0

    def test_not_if_told_so(self, origin, in_tmp):
        self.interrupt(origin)
        assert fetch(origin, resume=False).resumed == 0

    def test_secrets_are_nowhere(self, origin, in_tmp, capfd):
        url = origin.url("/file.bin?sig=hunter2").replace("http://", "http://anna:hunter3@")
        events = []
        self.interrupt(origin, url=url, events=events, progress="json")
        fetch(origin, url=url, events=events, progress="plain")
        journal = b"".join(p.read_bytes() for p in in_tmp.glob("*journal*"))
        seen = capfd.readouterr()
        everything = str([repr(e) + str(e) + json.dumps(e.to_dict()) for e in events])
        assert "hunter" not in everything + journal.decode() + seen.out + seen.err
        assert origin.parts[0].path.endswith("?sig=hunter2")
        assert origin.parts[0].headers["authorization"]


class TestTarget:
    def test_an_existing_file_is_refused_before_anything_is_fetched(self, origin, in_tmp):
        (in_tmp / "f").write_text("mine")
        with pytest.raises(raydl.TargetError, match="overwrite=True"):
            fetch(origin, "f")
        assert origin.requests == []
        assert (in_tmp / "f").read_text() == "mine"

    def test_the_origins_name_is_checked_too(self, origin, in_tmp):
        (in_tmp / "file.bin").write_text("mine")
        with pytest.raises(raydl.TargetError):
            fetch(origin)
        assert origin.parts == []

    def test_skip_and_overwrite(self, origin, in_tmp):
        (in_tmp / "f").write_text("mine")
        events = []
        report = fetch(origin, "f", events=events, skip_existing=True)
        assert report.skipped
        assert report.size == 4
        assert "skipped" in str(events[-1])
        fetch(origin, "f", overwrite=True)
        assert (in_tmp / "f").read_bytes() == origin.data

    def test_a_directory(self, origin, in_tmp):
        (in_tmp / "d").mkdir()
        assert fetch(origin, "d").path == os.path.join("d", "file.bin")
        with pytest.raises(raydl.OutputError, match="mkdir"):
            fetch(origin, "no/")

    def test_a_name_from_the_origin_stays_in_the_directory(self, origin, in_tmp):
        origin.headers["Content-Disposition"] = 'attachment; filename="../../up.bin"'
        assert fetch(origin).path == "up.bin"


class TestEvents:
    def test_all_of_them(self, origin, in_tmp):
        seen = list(raydl.events(origin.url(), **ALONE))
        assert isinstance(seen[-1], Finished)
        assert (in_tmp / "file.bin").read_bytes() == origin.data

    def test_an_error_comes_after_its_event(self, origin, in_tmp):
        origin.on(status(404), None, anything)
        seen = []
        with pytest.raises(raydl.HttpError):
            seen.extend(raydl.events(origin.url(), **ALONE))

    def test_leaving_the_loop_cancels(self, origin, in_tmp):
        origin.on(scripted.stall(10), None, lambda s: s.is_part and s.range[0] > 600_000)
        for event in raydl.events(origin.url(), **{**ALONE, "timeout": 60}, parts=5, connections=1):
            if type(event).__name__ == "PartWritten":
                break
        assert names(in_tmp) == ["file.bin.part", "file.bin.part.journal"]

    def test_cancel_from_another_thread(self, origin, in_tmp):
        origin.on(scripted.stall(10), None)
        control = Control()

        def on_event(event):
            if type(event).__name__ == "PartStarted":
                threading.Thread(target=control.cancel).start()

        with pytest.raises(raydl.CancelledError):
            run(origin.url(), None, Options.of({**ALONE, "timeout": 60}), on_event, control)

    def test_cancel_during_the_probe(self, origin, in_tmp):
        origin.on(status(503, Retry_After="100"), None, anything)
        control = Control()

        def on_event(event):
            if isinstance(event, Notice):
                control.cancel()

        with pytest.raises(raydl.CancelledError):
            run(origin.url(), None, Options.of(ALONE), on_event, control)

    def test_leaving_the_loop_during_a_silent_probe(self, origin, in_tmp):
        def silent(handler, seen):
            asked.set()
            return handler.origin.release.wait(60)

        asked = threading.Event()
        origin.on(silent, None, anything)
        happened = raydl.events(origin.url(), **{**ALONE, "timeout": 60})
        assert type(next(happened)).__name__ == "ClusterChosen"
        assert asked.wait(10)
        began = time.monotonic()
        happened.close()
        assert time.monotonic() - began < 5

    @pytest.mark.parametrize(
        ("raised", "error", "code"),
        [(KeyboardInterrupt, "CancelledError", 130), (ZeroDivisionError, "RaydlError", 1)],
    )
    def test_every_end_without_the_file_is_an_event(self, origin, in_tmp, raised, error, code):
        events = []

        def on_event(event):
            events.append(event)
            if type(event).__name__ == "PartWritten":
                raise raised

        with pytest.raises(raised):
            raydl.fetch(origin.url(), on_event=on_event, **ALONE)
        assert (events[-1].error, events[-1].exit_code) == (error, code)
        assert [type(event) for event in events].count(Failed) == 1

    def test_an_observer_that_fails_ends_it(self, origin, in_tmp):
        def on_event(event):
            if type(event).__name__ == "PartFetched":
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            raydl.fetch(origin.url(), on_event=on_event, **ALONE)


def test_probe(origin):
    remote = raydl.probe(origin.url())
    assert (remote.size, remote.name, remote.ranges) == (1_000_003, "file.bin", True)
    origin.on(status(404), None, anything)
    with pytest.raises(raydl.HttpError):
        raydl.probe(origin.url())


def test_nobody_is_left_to_fetch(origin, in_tmp):
    with pytest.raises(raydl.UsageError, match="no machine is left"):
        fetch(origin, fetch_here=False)


def test_no_nodes():
    assert raydl.nodes("none") == []


def test_one_odd_answer_costs_nothing(origin, in_tmp):
    """A page instead of a part, once, from one of the servers behind a name."""
    origin.on(
        changed(status=200, headers={"ETag": None}, body=b"<html>"),
        when=lambda s: s.is_part and s.range[0] > 0,
    )
    report = fetch(origin, parts=8)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.retries == 1


def test_what_was_kept_survives_an_odd_answer(origin, in_tmp):
    origin.on(status(416), 2, lambda s: s.is_part and s.range[0] > 500_000)
    events = []
    report = fetch(origin, events=events, part_size=100_000, connections=1)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert report.resumed > 0


def test_without_any_validator_a_notice_says_so(make_origin, in_tmp):
    origin = make_origin(random_bytes(100_000), headers={})
    events = []
    fetch(origin, events=events, parts=3)
    assert any("--checksum would prove" in str(e) for e in of(events, Notice))


@pytest.mark.parametrize("codings", ["gzip, chunked", "identity, chunked", "x"])
def test_transfer_codings_that_cannot_be_undone(origin, in_tmp, codings):
    origin.on(changed(headers={"Transfer-Encoding": codings}), None, get)
    with pytest.raises(raydl.RaydlError):
        fetch(origin, retries=0)
    assert "file.bin" not in names(in_tmp)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("location", ["http://[bad/", "http://\xe9/x", "//"])
def test_redirects_that_make_no_sense(origin, in_tmp, location):
    origin.on(scripted.redirect(location), None)
    with pytest.raises(raydl.RaydlError):
        fetch(origin, parts=3, retries=1)
    origin.on(scripted.redirect(location), None, anything)
    origin.rules.reverse()
    with pytest.raises(raydl.RaydlError):
        fetch(origin, parts=3, retries=1)
    gc.collect()  # requests leaves the socket of such a redirect to the garbage collector


def test_numbers_beyond_all_measure(origin, in_tmp):
    origin.on(changed(headers={"Content-Range": "bytes 0-1/" + "9" * 5000}), None)
    with pytest.raises(raydl.WrongAnswerError):
        fetch(origin, parts=3)


def test_what_an_origin_says_cannot_reach_the_terminal(make_origin, in_tmp):
    origin = make_origin(b"abc", headers={"Last-Modified": "\x1b[31mred", "ETag": '"\x1b[0m"'})
    remote = raydl.probe(origin.url())
    assert remote.last_modified is None
    assert remote.etag is None


@pytest.mark.parametrize("url", ["anna:hunter2@h/f", "https://anna:hunter2@ex\u2100mple.com/f"])
def test_a_bad_url_is_refused_without_its_password(in_tmp, url):
    (in_tmp / "f").write_text("x")
    events = []
    with pytest.raises(raydl.UsageError) as caught:
        fetch(None, "f", events, url=url, skip_existing=True)
    assert "hunter" not in str(caught.value) + str([e.to_dict() for e in events])


def test_passwords_are_sent_as_utf8(origin, in_tmp):
    fetch(origin, url=origin.url().replace("http://", "http://anna:p%E2%82%AC@"))
    import base64

    sent = origin.requests[0].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "anna:p€"


def answer(handler, body, kind):
    handler.start(200, {"Content-Type": kind, "Content-Length": str(len(body))})
    if handler.command != "HEAD":
        handler.wfile.write(body)
    return True


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_what_is_promised_is_not_what_comes(origin, in_tmp, kind):
    """HEAD promises a large file and ranges, and every GET brings a little something else."""
    origin.headers["Content-Type"] = "application/octet-stream"
    origin.on(lambda handler, _: answer(handler, LOGIN, kind), None, get)
    with pytest.raises(
        raydl.WrongAnswerError, match=r"promised .*octet-stream of 976.6 KiB"
    ) as caught:
        fetch(origin)
    assert f"sends {kind.partition(';')[0]} of 26 B" in str(caught.value)
    assert names(in_tmp) == []


def test_a_web_page_instead_of_a_file_without_ranges(make_origin, in_tmp):
    origin = make_origin(random_bytes(100_000), ranges=False)
    origin.on(lambda handler, _: answer(handler, LOGIN, "text/html"), None, anything)
    origin.on(changed(headers={"Content-Type": "application/zip"}), 2, anything)
    origin.rules.reverse()  # the probe sees a file
    with pytest.raises(raydl.WrongAnswerError, match=r"promised application/zip of 97.7 KiB"):
        fetch(origin)
    assert names(in_tmp) == []


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("since", ["of the whole", "from now on"])
@pytest.mark.parametrize("kind", ["application/json", "application/xhtml+xml"])
def test_an_error_in_the_files_place(make_origin, in_tmp, ranges, kind, since):
    """What was promised twice has to come, and what is of another kind is another thing."""
    origin = make_origin(random_bytes(400_000), ranges=ranges)
    origin.headers["Content-Type"] = "application/octet-stream"
    headers = {"Content-Type": kind, "Content-Length": "20", "ETag": None}
    error = changed(status=200, headers=headers, body=b'{"error": "no more"}')
    first = 1 if ranges else 2
    when = {
        "of the whole": lambda seen: seen.method == "GET" and seen.range != (0, 0),
        "from now on": lambda seen: seen.method == "GET" and len(origin.requests) > first,
    }
    origin.on(error, None, when[since])
    with pytest.raises(raydl.WrongAnswerError):
        fetch(origin)
    assert names(in_tmp) == []


def test_another_promise_that_holds(make_origin, in_tmp):
    """Half-way the file is replaced by a smaller one, from a server without ranges."""
    origin = make_origin(random_bytes(400_000))

    def replaced(handler, seen):
        origin.data, origin.ranges, origin.headers = b"smaller", False, {"ETag": '"v2"'}
        return False

    origin.on(replaced, when=lambda seen: seen.is_part and seen.range[0] > 200_000)
    fetch(origin, parts=8, connections=1)
    assert (in_tmp / "file.bin").read_bytes() == b"smaller"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_lies_packed_is_saved_like_that(make_origin, in_tmp, ranges):
    origin = make_origin(random_bytes(300_000), ranges=ranges)
    origin.headers["Content-Encoding"] = "x-gzip"
    events = []
    fetch(origin, events=events, parts=3)
    assert (in_tmp / "file.bin").read_bytes() == origin.data
    assert any("lies packed" in str(e) for e in of(events, Notice))


def test_an_origin_that_cannot_be_told_from_a_new_one_says_so(origin, in_tmp):
    """A date of this very second, as a file has that is just being written."""
    origin.headers = {"Last-Modified": format_datetime(datetime.now(timezone.utc), usegmt=True)}
    events = []
    fetch(origin, events=events)
    assert any("might go unnoticed" in str(e) for e in of(events, Notice))
