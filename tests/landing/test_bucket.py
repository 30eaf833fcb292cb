"""A file into a bucket, alone: what is right, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import zlib
from dataclasses import replace

import pytest

import raydl
from raydl.landing import blocks, bucket, s3, unfinished
from raydl.model import backoff
from raydl.model.errors import (
    CancelledError,
    ChecksumError,
    HttpError,
    NetworkError,
    OutputError,
    RangesIgnoredError,
    TargetError,
    UsageError,
)
from raydl.model.events import Notice, PartWritten, Resumed
from tests.conftest import RAYDL, random_bytes, run_raydl
from tests.landing.means import make_means
from tests.landing.service import refuse, reset, reset_after
from tests.scripted import status

GRID = 1 << 20
SIZE = 2 * GRID + 412_345
DATA = random_bytes(SIZE)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(make_origin):
    return make_origin(DATA, headers={"ETag": '"v1"'})


@pytest.fixture(autouse=True)
def quick(monkeypatch, no_leaks):
    """Small blocks, of several requests each, and short waits between tries."""
    monkeypatch.setattr(blocks, "USUAL", GRID)
    monkeypatch.setattr(unfinished, "SMALLEST", GRID)
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    standard = pytest.importorskip("botocore.retries.standard")
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.0)


def fetch(service, origin, key="f", events=None, **values):
    means = make_means(origin.url(), [] if events is None else events, **values)
    return bucket.run(means, service.target(key))


def notices(events):
    return [event.text for event in events if isinstance(event, Notice)]


class Events(list):
    """Those of a download; ``written`` is set once a block is in the bucket."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def append(self, event):
        super().append(event)
        if isinstance(event, PartWritten):
            self.written.set()


def broken_off(service, source):
    """A run whose first block alone is in the bucket; returns its events."""
    events = Events()

    def gone(handler, seen):
        assert events.written.wait(30)
        return status(404)(handler, seen)

    source.on(gone, None, lambda seen: seen.is_part and seen.range[0] >= GRID)
    with pytest.raises(HttpError):
        fetch(service, source, events=events)
    source.rules.clear()
    assert service.get("f") is None
    service.calls.clear()
    source.requests.clear()
    return events


# --- what is right ---


def test_the_object_is_the_file(service, source):
    report = fetch(service, source)
    assert service.get("f") == DATA
    assert report.path == f"s3://{service.bucket}/f"
    assert report.fetched == report.size == SIZE
    assert not service.unfinished()
    assert sorted(len(put.body) for put in service.puts()) == [SIZE - 2 * GRID, GRID, GRID]


def test_a_prefix_takes_the_name_of_the_file(service, source):
    report = fetch(service, source, "models/")
    assert report.path == f"s3://{service.bucket}/models/{source.url().rpartition('/')[2]}"


def test_that_nothing_proves_the_bytes_is_told(service, make_origin):
    origin, events = make_origin(DATA, headers={"ETag": 'W/"1"', "Last-Modified": None}), []
    options = {"address": "none", "progress": "none"}
    raydl.fetch(origin.url(), service.target("f"), on_event=events.append, **options)
    assert service.get("f") == DATA
    assert any("a change of the file might go unnoticed" in text for text in notices(events))


def test_an_empty_file_is_an_empty_object(service, make_origin):
    fetch(service, make_origin(b""))
    assert service.get("f") == b""


def test_no_request_is_for_bytes_of_two_blocks(service, source):
    fetch(service, source, parts=7)
    ranges = [seen.range for seen in source.requests if seen.is_part]
    assert all(first // GRID == last // GRID for first, last in ranges)
    assert service.get("f") == DATA


def test_a_window_that_is_smaller_than_a_block_is_no_end(service, source):
    fetch(service, source, max_memory=2 * GRID)  # alone half of it is the window
    assert service.get("f") == DATA


def test_the_whole_crc_is_compared_by_the_service(service, source):
    fetch(service, source)
    end = next(call for call in service.calls if call.method == "POST" and "uploadId" in call.query)
    crc = int.from_bytes(bytes.fromhex(f"{zlib.crc32(DATA):08x}"), "big")
    assert end.headers["x-amz-checksum-crc32"] == s3._text(crc)
    assert end.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_a_service_without_full_checksums_gets_one_with_each_part(service, source):
    service.on(
        refuse(501, "NotImplemented"),
        when=lambda call: "x-amz-checksum-algorithm" in call.headers,
        times=None,
    )
    fetch(service, source)
    assert service.get("f") == DATA
    for put in service.puts():
        assert put.headers["content-md5"]
        assert not any(name.startswith("x-amz-checksum") for name in put.headers)


def test_the_digest_that_was_given_is_compared(service, source):
    report = fetch(service, source, checksum=f"sha256:{SHA256}")
    assert report.digests == {"sha256": SHA256}


def test_another_digest_leaves_nothing(service, source):
    with pytest.raises(ChecksumError):
        fetch(service, source, checksum=f"sha256:{'0' * 64}")
    assert service.get("f") is None
    assert not service.unfinished()


def test_a_crc_is_compared_without_reading_anything(service, source):
    report = fetch(service, source, checksum=f"crc32:{zlib.crc32(DATA):08x}")
    assert report.digests == {"crc32": f"{zlib.crc32(DATA):08x}"}
    with pytest.raises(ChecksumError):
        fetch(service, source, checksum="crc32:00000000", overwrite=True)


# --- what is there already ---


def test_what_is_there_is_not_replaced(service, source):
    service.client.put_object(Bucket=service.bucket, Key="f", Body=b"theirs")
    with pytest.raises(TargetError):
        fetch(service, source)
    assert fetch(service, source, skip_existing=True).skipped
    assert service.get("f") == b"theirs"
    assert not service.puts()
    fetch(service, source, overwrite=True)
    assert service.get("f") == DATA


def test_what_comes_into_being_meanwhile_is_not_replaced(service, source):
    def theirs(handler, call):
        service.client.put_object(Bucket=service.bucket, Key="f", Body=b"theirs")
        return False

    is_end = lambda call: call.method == "POST" and "uploadId" in call.query  # noqa: E731
    service.on(theirs, when=is_end)
    with pytest.raises(TargetError, match="meanwhile"):
        fetch(service, source)
    assert service.get("f") == b"theirs"
    source.requests.clear()
    fetch(service, source, overwrite=True)
    assert service.get("f") == DATA
    assert not any(seen.is_part for seen in source.requests)


def test_the_same_object_that_somebody_made_meanwhile_leaves_no_upload(service, source):
    def theirs(handler, call):
        where = {"Bucket": service.bucket, "Key": "f"}
        upload = service.client.create_multipart_upload(**where)["UploadId"]
        parts = [
            service.client.upload_part(
                **where, UploadId=upload, PartNumber=n + 1, Body=DATA[n * GRID : (n + 1) * GRID]
            )
            for n in range(3)
        ]
        made = [{"PartNumber": n + 1, "ETag": part["ETag"]} for n, part in enumerate(parts)]
        service.client.complete_multipart_upload(
            **where, UploadId=upload, MultipartUpload={"Parts": made}
        )
        return False

    def is_end(call):
        mine = call.method == "POST" and "uploadId" in call.query
        return mine and "if-none-match" in call.headers

    service.on(theirs, when=is_end, times=1)
    fetch(service, source)
    assert service.get("f") == DATA
    assert not service.unfinished()


def test_a_service_without_conditional_writes_is_looked_at_again(service, source):
    service.on(
        refuse(501, "NotImplemented"), when=lambda call: "if-none-match" in call.headers, times=None
    )
    fetch(service, source)
    assert service.get("f") == DATA


def test_an_end_that_was_not_heard_of_is_an_end(service, source):
    service.on(
        reset_after, when=lambda call: call.method == "POST" and "uploadId" in call.query, times=1
    )
    fetch(service, source)
    assert service.get("f") == DATA


def is_end(call):
    return call.method == "POST" and "uploadId" in call.query


def killed_after_the_end(service, source, monkeypatch):
    """What is left of a run that was killed once the object was there, before it was noted."""
    with monkeypatch.context() as patch:
        patch.setattr(unfinished.Note, "clear", lambda _: None)
        fetch(service, source)
    source.requests.clear()


def test_what_a_killed_run_had_made_is_known(service, source, monkeypatch):
    killed_after_the_end(service, source, monkeypatch)
    events = []
    report = fetch(service, source, events=events)
    assert (report.resumed, report.fetched) == (SIZE, 0)
    assert any("an earlier run has made" in text for text in notices(events))
    assert not any(seen.is_part for seen in source.requests)
    with pytest.raises(TargetError, match="exists already"):
        fetch(service, source)


@pytest.mark.parametrize("change", ["object", "origin", "digest"])
def test_what_a_killed_run_had_made_is_no_longer_it(service, source, monkeypatch, change):
    killed_after_the_end(service, source, monkeypatch)
    values = {}
    if change == "object":
        service.client.put_object(Bucket=service.bucket, Key="f", Body=DATA[:-1] + b"x")
    elif change == "origin":
        source.headers["ETag"] = '"v2"'
    else:
        values["checksum"] = f"sha256:{SHA256}"  # which nobody compared
    with pytest.raises(TargetError, match="exists already"):
        fetch(service, source, **values)


def test_an_end_after_which_nothing_answers_is_known_the_next_time(service, source):
    service.on(reset_after, when=is_end, times=None)
    service.on(
        refuse(403, "AccessDenied"),
        when=lambda call: call.method == "HEAD" and any(is_end(each) for each in service.calls),
        times=None,
    )
    with pytest.raises(OutputError):
        fetch(service, source)
    service.rules.clear()
    assert fetch(service, source).resumed == SIZE
    assert not service.unfinished()


def test_a_part_that_arrives_late_with_another_etag_is_the_same(service, source):
    """As with keys of a service's own, where ETags are no digests."""
    is_end = lambda call: call.method == "POST" and "uploadId" in call.query  # noqa: E731
    service.on(refuse(400, "InvalidPart"), when=is_end)
    fetch(service, source)
    assert service.get("f") == DATA


def test_other_bytes_at_the_service_leave_nothing(service, source):
    is_end = lambda call: call.method == "POST" and "uploadId" in call.query  # noqa: E731
    service.on(refuse(400, "BadDigest"), when=is_end)
    with pytest.raises(ChecksumError):
        fetch(service, source)
    assert service.get("f") is None
    assert not service.unfinished()


def test_who_may_not_look_may_overwrite(service, source):
    service.on(refuse(403), when=lambda call: call.method == "HEAD", times=None)
    with pytest.raises(OutputError, match="overwrite=True does without"):
        fetch(service, source)
    fetch(service, source, overwrite=True)
    assert service.get("f") == DATA


# --- what goes wrong ---


@pytest.mark.parametrize(
    "answer",
    [
        refuse(500, "InternalError"),
        refuse(503, "SlowDown"),
        refuse(503),
        refuse(403, "AccessDenied"),
        refuse(400, "BadDigest"),
        reset,
        reset_after,
    ],
    ids=["500", "slow", "503", "expired", "damaged", "reset", "unheard"],
)
def test_a_part_that_was_refused_is_sent_again(service, source, answer):
    service.on(answer, times=2)
    fetch(service, source)
    assert service.get("f") == DATA


def test_a_connection_that_breaks_in_the_body_is_tried_again(service, source):
    service.cut_bodies = 2
    fetch(service, source)
    assert service.get("f") == DATA


def test_a_refused_part_is_signed_anew(service, source, monkeypatch):
    signed = []
    sign = s3.Bucket.sign
    monkeypatch.setattr(s3.Bucket, "sign", lambda *args: signed.append(args[2]) or sign(*args))
    service.on(refuse(403, "AccessDenied"), times=2)
    fetch(service, source)
    assert len(signed) == 5


def test_a_slow_down_is_told_and_obeyed(service, source):
    service.on(refuse(503, "SlowDown"), times=3)
    events = []
    fetch(service, source, events=events)
    assert sum("fewer" in text for text in notices(events)) == 1


def test_what_is_refused_for_good_ends_it_without_a_secret(service, source):
    service.on(refuse(403, "AccessDenied"), times=None)
    events = []
    with pytest.raises(OutputError) as caught:
        fetch(service, source, events=events)
    said = str(caught.value) + repr(events)
    assert "AccessDenied" in said
    for secret in ("X-Amz-Signature", "very-secret", "AKIDEXAMPLE", "secret words", "uploadId"):
        assert secret not in said
    assert not service.unfinished()
    assert service.get("f") is None


def test_tries_are_bounded(service, source):
    service.on(refuse(500, "InternalError"), when=lambda call: call.number == 1, times=None)
    with pytest.raises(OutputError, match="InternalError"):
        fetch(service, source, retries=2)
    assert len([put for put in service.puts() if put.number == 1]) == 3


def test_a_bucket_that_is_not_there_is_named(service, source):
    means = make_means(source.url(), [])
    with pytest.raises(OutputError, match="NoSuchBucket") as raised:
        bucket.run(means, "s3://no-such-bucket-here/f")
    assert raised.value.exit_code == HttpError.exit_code


def test_a_service_that_is_gone_half_way(service, source):
    service.on(reset, times=None)
    with pytest.raises(OutputError, match="cannot write s3://") as raised:
        fetch(service, source, retries=1)
    assert raised.value.exit_code == NetworkError.exit_code


def test_no_credentials_are_an_error_of_use(service, source, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(UsageError, match="credentials"):
        fetch(service, source)


def test_what_is_asked_is_waited_for_as_long_as_was_said(service):
    place = s3.Place(service.bucket, "f")
    found = s3.connect(place, 7.0)
    assert found._client.meta.config.read_timeout == 7.0
    assert found._patient().meta.config.read_timeout == s3.COMPLETE_SECONDS


def test_an_origin_without_ranges_is_an_error_of_use(service, make_origin):
    with pytest.raises(RangesIgnoredError, match="byte ranges"):
        fetch(service, make_origin(DATA, ranges=False))


# --- going on ---


def test_what_the_bucket_has_is_not_fetched_again(service, source):
    broken_off(service, source)
    events = []
    report = fetch(service, source, events=events)
    assert service.get("f") == DATA
    assert report.resumed == GRID
    assert [event for event in events if isinstance(event, Resumed)]
    assert sorted(put.number for put in service.puts()) == [2, 3]
    assert min(seen.range[0] for seen in source.requests if seen.is_part) == GRID


def test_a_run_that_failed_says_what_is_left(service, source):
    events = broken_off(service, source)
    assert any("--no-resume" in text for text in notices(events))
    assert len(service.unfinished()) == 1


def test_no_resume_aborts_what_is_left(service, source):
    broken_off(service, source)
    (left,) = service.unfinished()
    fetch(service, source, resume=False)
    assert service.get("f") == DATA
    assert len(service.puts()) == 3
    assert not service.unfinished()
    assert any(left in call.path for call in service.calls if call.method == "DELETE")


def test_another_version_of_the_file_starts_over(service, source):
    broken_off(service, source)
    source.headers["ETag"] = '"v2"'
    events = []
    report = fetch(service, source, events=events)
    assert report.resumed == 0
    assert any("starting over" in text for text in notices(events))
    assert not service.unfinished()


def test_another_url_is_not_replaced(service, source, make_origin):
    broken_off(service, source)
    other = make_origin(DATA[::-1], headers={"ETag": '"v1"'})
    with pytest.raises(TargetError, match="another URL"):
        fetch(service, other)
    fetch(service, other, overwrite=True)
    assert service.get("f") == DATA[::-1]


def test_what_another_mirror_brought_is_no_part_of_this_ones(service, source, make_origin):
    broken_off(service, source)
    other, events = make_origin(DATA[::-1], headers=dict(source.headers)), []
    means = make_means(other.url(), events)
    means = replace(means, found=replace(means.found, known_as=source.url()))
    assert bucket.run(means, service.target("f")).resumed == 0
    assert f"starting over: it is from another mirror, {source.url()}" in notices(events)
    assert service.get("f") == DATA[::-1]
    assert not service.unfinished()


def test_an_upload_that_is_gone_is_begun_again(service, source):
    broken_off(service, source)
    (left,) = service.unfinished()
    service.client.abort_multipart_upload(Bucket=service.bucket, Key="f", UploadId=left)
    assert fetch(service, source).resumed == 0
    assert service.get("f") == DATA


def test_from_another_machine_it_starts_over_and_tells(service, source, monkeypatch, tmp_path):
    broken_off(service, source)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    events = []
    fetch(service, source, events=events)
    assert any("1 unfinished upload" in text for text in notices(events))
    assert len(service.unfinished()) == 1


def test_a_digest_that_was_asked_for_starts_over(service, source):
    broken_off(service, source)
    events = []
    report = fetch(service, source, events=events, checksum=f"sha256:{SHA256}")
    assert report.digests == {"sha256": SHA256}
    assert report.resumed == 0
    assert any("sha256 needs every byte" in text for text in notices(events))


def test_the_note_has_no_secret_and_is_private(service, source, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    broken_off(service, source)
    (note,) = (tmp_path / "state").rglob("*.json")
    assert note.stat().st_mode & 0o077 == 0
    fields = json.loads(note.read_text())
    assert set(fields) == {"upload", "grid", "algorithm", "journal", "made"}
    fetch(service, source)
    assert not list((tmp_path / "state").rglob("*.json"))


def test_a_cancelled_run_goes_on(service, source):
    events = []
    means = make_means(source.url(), events)

    def cancel(handler, call):
        means.control.cancel()
        return False

    service.on(cancel, when=lambda call: call.number == 1)
    with pytest.raises(CancelledError):
        bucket.run(means, service.target("f"))
    assert service.get("f") is None
    fetch(service, source)
    assert service.get("f") == DATA
    assert not service.unfinished()


def test_two_at_once_do_not_share_an_upload(service, source):
    begun, go_on = threading.Event(), threading.Event()

    def wait(handler, call):
        begun.set()
        go_on.wait(30)
        return False

    service.on(wait)
    first = threading.Thread(target=fetch, args=(service, source))
    first.start()
    assert begun.wait(30)
    with pytest.raises(TargetError, match="another raydl"):
        fetch(service, source)
    go_on.set()
    first.join(30)
    assert service.get("f") == DATA


@pytest.mark.slow
def test_a_driver_that_is_killed_is_gone_on_from(service, make_origin, tmp_path):
    size = 2 * (8 << 20) + 99  # blocks of the usual size
    data = random_bytes(size)
    origin = make_origin(data, headers={"ETag": '"v1"'})
    last = lambda call: call.number == 3  # noqa: E731
    held = threading.Event()

    def hold(handler, call):
        held.set()
        return reset(handler, call)

    service.on(hold, last, times=None)
    command = [*RAYDL, "fetch", origin.url(), "-o", service.target("f"), "--address", "none"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert held.wait(60)
    (upload,) = service.unfinished()
    while len(service.parts("f", upload)) < 2:
        assert process.poll() is None
    process.kill()
    process.wait(30)
    assert service.get("f") is None
    service.rules.clear()
    service.calls.clear()
    ended = run_raydl(*command[3:], "--json", cwd=tmp_path)
    assert json.loads(ended.stdout)["resumed"] == 16 << 20
    assert [put.number for put in service.puts()] == [3]
    assert service.get("f") == data


# --- the ways in ---


def test_the_function_takes_a_bucket(service, source):
    report = raydl.fetch(source.url(), service.target("f"), address="none", progress="none")
    assert report.path == service.target("f")
    assert service.get("f") == DATA


def test_the_command_takes_a_bucket(service, source, tmp_path):
    ended = run_raydl(
        "fetch", source.url(), "-o", service.target("f"), "--address", "none", "--checksum",
        f"sha256:{SHA256}", cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "sha256 verified" in ended.stderr + ended.stdout
    assert service.get("f") == DATA


@pytest.mark.parametrize("to", ["every-node", "shared"])
def test_a_bucket_is_no_place_on_nodes(service, source, to):
    with pytest.raises(UsageError, match=f'to="{to}" and s3://.* contradict each other'):
        raydl.fetch(source.url(), service.target("f"), to=to, progress="none")


def test_a_wrong_name_is_told_before_anything_is_asked(source):
    with pytest.raises(UsageError, match="no bucket"):
        raydl.fetch(source.url(), "s3:///f", address="none", progress="none")
    assert not source.requests


def test_a_missing_boto3_is_told_before_anything_is_asked(source, monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(UsageError, match="pip install boto3"):
        raydl.fetch(source.url(), "s3://bucket/f", address="none", progress="none")
    assert not source.requests
