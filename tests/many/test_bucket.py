"""Many files into a bucket of moto's, by this machine and by nodes."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading

import pytest

import raydl
from raydl.many import crew
from raydl.many.bucket import Bucket
from raydl.many.hands import HereHand
from raydl.many.lists import read_list
from raydl.model import backoff
from raydl.model.errors import OutputError, UsageError
from raydl.workers.smallfiles import LARGEST
from tests.landing.service import refuse, reset_after
from tests.many.conftest import COUNT
from tests.many.test_run import failures, only
from tests.metalinks import file_of, metalink
from tests.scripted import lying, status

pytestmark = pytest.mark.usefixtures("no_leaks")


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def fetch(library, bucket, items=None, **options):
    items = [library.url(path) for path in library.files] if items is None else items
    where = f"s3://{bucket.bucket}/some/prefix"
    return raydl.fetch_many(items, where, progress="none", **{"address": "none", **options})


def there(bucket):
    answer = bucket.client.list_objects_v2(Bucket=bucket.bucket)
    return {
        each["Key"]: bucket.client.get_object(Bucket=bucket.bucket, Key=each["Key"])["Body"].read()
        for each in answer.get("Contents", ())
    }


def wanted(library):
    return {f"some/prefix{path}": data for path, data in library.files.items()}


def is_put(name):
    return lambda call: call.method == "PUT" and call.path.partition("?")[0].endswith(f"/{name}")


def test_all_come_and_the_next_time_nothing_is_asked(library, service):
    library.files["/large"] = random.Random(3).randbytes(LARGEST + 1)
    library.files["/empty"] = b""
    report = fetch(library, service)
    assert list(report) == []
    assert report.done == COUNT + 3
    assert there(service) == wanted(library)
    asked = len(library.requests)
    assert fetch(library, service).skipped == COUNT + 3
    assert len(library.requests) == asked


def test_what_is_gone_comes_again_and_what_is_changed_stays(library, service):
    fetch(library, service)
    service.client.delete_object(Bucket=service.bucket, Key="some/prefix/003")
    service.client.put_object(Bucket=service.bucket, Key="some/prefix/004", Body=b"mine")
    report = fetch(library, service)
    assert (report.done, report.failed) == (1, 1)
    assert "exists already" in failures(report)["004"][1]
    assert there(service) == {**wanted(library), "some/prefix/004": b"mine"}
    assert fetch(library, service, overwrite=True).failed == 0
    assert there(service) == wanted(library)


def test_failures_say_no_secret(library, service):
    library.on(status(404), None, only("/007"))
    service.on(refuse(403, "AccessDenied"), is_put("008"), None)
    report = fetch(library, service)
    found = failures(report)
    assert set(found) == {"007", "008"}
    assert "cannot write s3://" in found["008"][1]
    assert "Signature" not in str(found)
    assert "AKID" not in str(found)


def test_a_busy_bucket_and_one_that_breaks_off(library, service):
    service.on(refuse(503, "SlowDown"), is_put("001"), 2)
    service.on(reset_after, is_put("002"), 1)
    assert list(fetch(library, service)) == []
    assert there(service) == wanted(library)


def test_what_was_taken_without_an_answer_is_known_the_next_time(library, service, monkeypatch):
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    service.on(reset_after, is_put("002"), 1)
    service.on(refuse(503, "SlowDown"), is_put("002"), None)
    assert set(failures(fetch(library, service))) == {"002"}
    service.rules.clear()
    assert fetch(library, service).done == 1
    assert fetch(library, service).skipped == COUNT + 1


def test_what_somebody_else_puts_there_meanwhile_stays(library, service):
    def race(handler, call):
        service.client.put_object(Bucket=service.bucket, Key="some/prefix/005", Body=b"theirs")
        return False

    service.on(race, is_put("005"), 1)
    report = fetch(library, service)
    assert set(failures(report)) == {"005"}
    assert there(service)["some/prefix/005"] == b"theirs"


def test_what_a_killed_run_sent_is_known(library, service, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "note", lambda *_: None)
        fetch(library, service)
    report = fetch(library, service)
    assert (report.done, report.failed) == (COUNT + 1, 0)
    assert fetch(library, service).skipped == COUNT + 1


@pytest.mark.parametrize("max_memory", ["256M", "32M"])
def test_a_large_file_that_a_killed_run_made_is_known(library, service, monkeypatch, max_memory):
    library.files = {"/large": random.Random(3).randbytes(LARGEST + 1)}
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "note", lambda *_: None)
        fetch(library, service)
    report = fetch(library, service, max_memory=max_memory)
    assert (report.done, report.failed) == (1, 0)
    assert not service.unfinished()
    assert fetch(library, service).skipped == 1


def test_what_somebody_else_made_of_the_same_size_stays(library, service, monkeypatch):
    library.files = {"/large": random.Random(3).randbytes(LARGEST + 1)}
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "note", lambda *_: None)
        fetch(library, service)
    theirs = random.Random(4).randbytes(LARGEST + 1)
    service.client.put_object(Bucket=service.bucket, Key="some/prefix/large", Body=theirs)
    assert set(failures(fetch(library, service))) == {"large"}
    assert there(service) == {"some/prefix/large": theirs}


def test_a_look_after_the_end_is_not_needed(library, service):
    library.files = {"/large": random.Random(3).randbytes(LARGEST + 1)}

    def is_late(call):
        ends = [each for each in service.calls if each.method == "POST"]
        return call.method == "HEAD" and any("uploadId" in each.query for each in ends)

    service.on(refuse(403, "AccessDenied"), is_late, None)
    assert fetch(library, service).failed == 0
    service.rules.clear()
    assert fetch(library, service).skipped == 1


def test_if_changed(library, service):
    fetch(library, service)
    library.files["/005"] = b"new"
    library.headers["ETag"] = '"v2"'
    assert fetch(library, service, if_changed=True).failed == 0
    assert there(service) == wanted(library)


def changed(library, service):
    """A run, after which the origin has another version of all; large files take a whole one."""
    library.files = {"/005": b"old", "/large": random.Random(3).randbytes(LARGEST + 1)}
    fetch(library, service)
    library.files = {path: data + b"new" for path, data in library.files.items()}
    library.headers["ETag"] = '"v2"'


def is_end(name):
    """What makes an object of it."""
    return lambda call: (
        is_put(name)(call)
        or (call.method == "POST" and "uploadId" in call.query and f"/{name}?" in call.path)
    )


@pytest.mark.parametrize("name", ["005", "large"])
def test_what_somebody_else_replaces_meanwhile_stays(library, service, name):
    changed(library, service)

    def race(handler, call):
        """moto knows no If-Match of an upload's end, so this is the service."""
        if "if-match" not in call.headers:
            return False
        service.client.put_object(Bucket=service.bucket, Key=f"some/prefix/{name}", Body=b"theirs")
        return refuse(412, "PreconditionFailed")(handler, call)

    where = {"Bucket": service.bucket, "Key": f"some/prefix/{name}"}
    ours = service.client.head_object(**where)["ETag"]
    service.on(race, lambda call: is_end(name)(call) and not call.number, None)
    report = fetch(library, service, if_changed=True)
    assert set(failures(report)) == {name}
    assert there(service)[f"some/prefix/{name}"] == b"theirs"
    matched = [call.headers.get("if-match") for call in service.calls if is_end(name)(call)]
    assert ours in matched
    service.rules.clear()
    assert fetch(library, service, overwrite=True).failed == 0
    assert there(service) == wanted(library)
    assert not service.unfinished()


@pytest.mark.parametrize("answer", [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_a_service_without_conditions_replaces_what_is_ours(library, service, answer):
    changed(library, service)
    service.on(refuse(*answer), lambda call: "if-match" in call.headers, None)
    assert fetch(library, service, if_changed=True).failed == 0
    assert there(service) == wanted(library)


@pytest.mark.parametrize("name", ["005", "large"])
def test_a_service_without_conditions_is_looked_at_right_before(library, service, name):
    changed(library, service)

    def race(handler, call):
        """What somebody else writes while the file is fetched."""
        service.client.put_object(Bucket=service.bucket, Key=f"some/prefix/{name}", Body=b"theirs")
        return False

    library.on(race, 1, only(f"/{name}"))
    service.on(refuse(501, "NotImplemented"), lambda call: "if-match" in call.headers, None)
    report = fetch(library, service, if_changed=True)
    assert set(failures(report)) == {name}
    assert there(service)[f"some/prefix/{name}"] == b"theirs"


def test_what_is_removed_meanwhile_comes_all_the_same(library, service):
    changed(library, service)

    def race(handler, call):
        service.client.delete_object(Bucket=service.bucket, Key="some/prefix/005")
        return False

    service.on(race, is_put("005"), 1)
    assert fetch(library, service, if_changed=True).failed == 0
    assert there(service) == wanted(library)


def test_a_replacement_whose_answer_was_lost_is_ours(library, service):
    changed(library, service)
    service.on(reset_after, is_put("005"), 1)
    assert fetch(library, service, if_changed=True).failed == 0
    assert there(service) == wanted(library)
    assert fetch(library, service).skipped == 2


def test_what_is_sent_for_too_long_is_cut_off_and_may_be_there(library, service, monkeypatch):
    cut = []

    def hold(handler, call):
        """Take it, and say nothing until whoever sent it is gone."""
        handler.forward(call)
        handler.connection.settimeout(30)
        with contextlib.suppress(TimeoutError):
            cut.append(handler.connection.recv(1))
        handler.reset()
        return True

    service.on(hold, is_put("000"), 1)
    monkeypatch.setattr(crew, "OVERDUE_SECONDS", 0.2)
    report = fetch(library, service)
    assert cut == [b""]
    assert list(report) == []
    assert there(service) == wanted(library)


@pytest.mark.parametrize("is_known", [True, False])
def test_no_more_is_held_than_was_said(library, service, monkeypatch, is_known):
    """A file is whole in memory until it is sent: as many at once as half of that takes."""
    library.files = {f"/{n}": random.Random(n).randbytes(4 << 20) for n in range(6)}
    size = {"size": 4 << 20} if is_known else {}
    items = [{"url": library.url(path), **size} for path in library.files]
    at_once, fetch_by = [], HereHand.fetch

    def fetching(hand, *args):
        at_once.append(hand.flying)
        fetch_by(hand, *args)

    monkeypatch.setattr(HereHand, "fetch", fetching)
    report = fetch(library, service, items, max_memory="12M")
    assert (report.done, list(report)) == (6, [])
    assert at_once[0] == 1
    if is_known:
        assert max(at_once) == 2
    else:  # where nothing has come yet, one may be as large as any
        assert at_once[1] == 1
        assert max(at_once) <= 2
    assert there(service) == wanted(library)


@pytest.mark.parametrize("size", [1000, LARGEST + 1])
def test_an_interrupt_waits_for_no_bucket(library, service, size):
    """What is there is asked first, of a large file in a thread of its own."""
    library.files = {"/f": bytes(size)}
    if size <= LARGEST:  # else nothing is to be asked
        service.client.put_object(Bucket=service.bucket, Key="some/prefix/g", Body=b"")
    asked, release = threading.Event(), threading.Event()

    def hold(handler, call):
        asked.set()
        return release.wait(120)

    service.on(hold, lambda call: call.method == "HEAD", None)
    where = f"s3://{service.bucket}/some/prefix"
    what = f"import raydl; raydl.fetch_many([{library.url('/f')!r}], {where!r}, address='none')"
    process = subprocess.Popen(
        [sys.executable, "-c", what], stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    try:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert b"KeyboardInterrupt" in said
    finally:
        process.kill()
        process.wait()
        release.set()


def test_no_such_bucket(library, service):
    service.bucket = "nobody-has-it"
    with pytest.raises((OutputError, UsageError), match="NoSuchBucket"):
        fetch(library, service)


@pytest.mark.cluster
def test_nodes_send_themselves(library, service, warm_nodes):
    report = fetch(library, service, address=warm_nodes.address, fetch_here=False)
    assert list(report) == []
    assert there(service) == wanted(library)
    assert report.nodes


def test_files_of_a_metalink_come_from_mirrors_that_live(make_origin, service, tmp_path):
    small, large = random.Random(3).randbytes(9999), random.Random(4).randbytes(LARGEST + 1)
    liar, *good = make_origin(large), make_origin(large), make_origin(small)
    liar.on(lying(*range(5, len(large), 1 << 20)), None)
    dead = "http://127.0.0.1:1/f"
    path = tmp_path / "l.meta4"
    path.write_bytes(metalink(
        file_of(large, [dead, liar.url(), good[0].url()], name="large", length=1 << 20),
        file_of(small, [dead, good[1].url()], name="small"),
    ))  # fmt: skip
    report = fetch(None, service, read_list(str(path)))
    assert (report.done, list(report)) == (2, [])
    assert there(service) == {"some/prefix/large": large, "some/prefix/small": small}
