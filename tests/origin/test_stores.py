"""Objects in stores, one by one: names, signatures, digests, and what goes wrong."""

# ruff: noqa: F811 - fixtures

import hashlib
import json
import sys
import threading
from collections import Counter

import pytest
from fsspec.registry import _registry
from fsspec.spec import AbstractFileSystem

import raydl
from raydl.model.errors import ChecksumError, HttpError, NetworkError, TimedOutError, UsageError
from raydl.origin import stores
from raydl.origin.resolver import SCHEMES
from tests.conftest import random_bytes, run_raydl
from tests.download.test_download import ALONE
from tests.landing.service import refuse
from tests.landing.test_everynode_cluster import copies, disks  # noqa: F401 - fixtures
from tests.objectstores import (  # noqa: F401 - fixtures
    as_amazon,
    bucket,
    cloud,
    put,
    s3_server,
    service,
)
from tests.scripted import secured

ODD = ["a b", "100%", "%41", "a+b", "a?x=1", "a#b", "ünï/ç.txt", "a//b", "x;y&z", "[1]", "a@b:c"]


def test_an_object_of_s3(bucket, in_tmp):
    put(bucket, **{"d/file.bin": random_bytes(300_000)})
    events = []
    report = raydl.fetch(
        bucket.target("d/file.bin"), part_size=50_000, **ALONE, on_event=events.append
    )
    assert (in_tmp / "file.bin").read_bytes() == random_bytes(300_000)
    assert report.url == bucket.target("d/file.bin")
    assert not any("Signature" in json.dumps(event.to_dict()) for event in events)
    assert {call.method for call in bucket.calls if "/d/" in call.path} == {"GET", "HEAD"}
    assert all("X-Amz-Signature" in call.path for call in bucket.calls if call.method == "GET")


def test_keys_are_taken_as_they_are(bucket, in_tmp):
    put(bucket, **{key: key.encode() for key in ODD}, **{"a": b"another", "A": b"another"})
    for number, key in enumerate(ODD):
        raydl.fetch(bucket.target(key), f"{number}", **ALONE)
        assert (in_tmp / f"{number}").read_bytes() == key.encode()


def test_it_is_called_as_the_key_ends(cloud, in_tmp):
    cloud.put("d/what? 100%41.txt", b"data")
    assert raydl.fetch("gs://b/d/what? 100%41.txt", **ALONE).path == "what 100%41.txt"


def test_an_empty_object(bucket, in_tmp):
    put(bucket, nothing=b"")
    assert raydl.fetch(bucket.target("nothing"), **ALONE).size == 0


def test_the_name_is_what_it_is_known_by(cloud, in_tmp):
    """Another URL, signed later, goes on from what is kept."""
    data = random_bytes(500_000)
    cloud.put("f", data)
    cloud.origin.on(lambda *_: True, None, lambda seen: False)
    cut = cloud.origin.rules[0].behaviour

    def until(limit):
        def behave(handler, seen):
            if seen.is_part and seen.range[0] >= limit:
                handler.reset()
                return True
            return cut(handler, seen)

        return behave

    cloud.origin.rules[0].behaviour = until(300_000)
    options = {**ALONE, "part_size": 50_000, "connections": 1, "retries": 0}
    with pytest.raises(NetworkError):
        raydl.fetch("gs://b/f", **options)
    journal = (in_tmp / "f.part.journal").read_text()
    assert "gs://b/f" in journal
    assert "secret" not in journal
    cloud.origin.rules[0].behaviour = cut
    report = raydl.fetch("gs://b/f", **options)
    assert report.resumed >= 200_000
    assert (in_tmp / "f").read_bytes() == data


def good_for(cloud, times):
    """URLs that are good for so many requests."""
    served = Counter()

    def good(number):
        served[number] += 1
        return served[number] <= times

    cloud.good = good


def test_a_signature_that_expires_half_way(cloud, in_tmp):
    data = random_bytes(1_000_000)
    cloud.put("f", data)
    good_for(cloud, 10)
    events = []
    raydl.fetch("gs://b/f", part_size=20_000, connections=4, on_event=events.append, **ALONE)
    assert (in_tmp / "f").read_bytes() == data
    assert cloud.signed >= 5
    assert not any("secret" in json.dumps(event.to_dict()) for event in events)


@pytest.mark.cluster
def test_on_nodes_it_expires_as_well(warm_nodes, cloud, in_tmp):
    data = random_bytes(20_000_000)
    cloud.put("f", data)
    good_for(cloud, 120)
    options = {**ALONE, "address": warm_nodes.address, "part_size": 100_000}
    raydl.fetch("gs://b/f", connections=2, **options)
    assert (in_tmp / "f").read_bytes() == data
    assert cloud.signed >= 2


@pytest.mark.cluster
def test_every_node_has_it(disks, cloud):
    data = random_bytes(5_000_000)
    cloud.put("f", data)
    good_for(cloud, 30)
    raydl.fetch("gs://b/f", "/d/", to="every-node", part_size=100_000, progress="none")
    assert [path.read_bytes() == data for path in copies(disks, "f")] == [True, True]


def test_from_bucket_to_bucket(bucket):
    data = random_bytes(100_000)
    put(bucket, one=data)
    raydl.fetch(bucket.target("one"), bucket.target("d/"), **ALONE)
    assert bucket.get("d/one") == data


def test_what_was_written_at_once_has_its_md5(bucket, in_tmp):
    bucket.on(as_amazon, lambda call: True, None)
    put(bucket, f=b"data")
    assert raydl.fetch(bucket.target("f"), **ALONE).proof == "ETag"


def test_checksums_that_the_store_keeps(bucket, in_tmp):
    """An upload in parts has no md5."""
    client = bucket.client
    where = {"Bucket": bucket.bucket, "Key": "f"}
    client.put_object(**where, Body=b"data", ChecksumAlgorithm="SHA256")
    report = raydl.fetch(bucket.target("f"), **ALONE)
    assert report.digests == {"sha256": hashlib.sha256(b"data").hexdigest()}
    assert report.proof == "x-amz-checksum-sha256"


def test_wrong_bytes_of_a_store(cloud, in_tmp):
    cloud.put("f", b"data")
    cloud.origin.headers["x-goog-hash"] = "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(ChecksumError):
        raydl.fetch("gs://b/f", **ALONE)


def test_what_is_public_needs_no_credentials(bucket, in_tmp, monkeypatch):
    where = {"Bucket": bucket.bucket, "Key": "f"}
    bucket.client.put_object(**where, Body=b"data", ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    raydl.fetch(bucket.target("f"), **ALONE)
    assert (in_tmp / "f").read_bytes() == b"data"
    assert not any("X-Amz" in call.path for call in bucket.calls)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        (
            "s3://BUCKET",
            UsageError,
            "s3://BUCKET names no object; s3://BUCKET/ is all that is in it",
        ),
        ("s3://BUCKET/p/", UsageError, "s3://BUCKET/p/ is all that is below"),
        ("s3://", UsageError, "it names no bucket"),
        (
            "s3://us:er@BUCKET/k",
            UsageError,
            "s3://…@BUCKET/k cannot be fetched: it names no bucket",
        ),
        ("s3://BUCKET/../k", UsageError, "cannot be asked for"),
        ("s3://BUCKET//k", UsageError, "cannot be asked for"),
        ("s3://BUCKET/k?versionId=3", UsageError, "versions of objects"),
        ("s3://BUCKET/none", HttpError, "for s3://BUCKET/none; check bucket and key"),
        (
            "s3://no-such-bucket/k",
            HttpError,
            "for s3://no-such-bucket/k; check bucket",
        ),
    ],
)
def test_names_that_lead_nowhere(bucket, in_tmp, name, error, says):
    put(bucket, k=b"data")
    with pytest.raises(error) as raised:
        raydl.fetch(name.replace("BUCKET", bucket.bucket), **ALONE)
    assert says.replace("BUCKET", bucket.bucket) in str(raised.value)
    assert "X-Amz" not in str(raised.value)


def test_access_is_refused(bucket, in_tmp):
    bucket.on(refuse(403, "AccessDenied"), lambda call: True, None)
    with pytest.raises(
        HttpError, match=r"403 Forbidden for s3://.*with these credentials.*AWS_PROFILE"
    ):
        raydl.fetch(bucket.target("f"), **ALONE)


def test_the_store_is_gone(bucket, in_tmp, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkError, match=r"cannot be asked for s3://.*the endpoint") as raised:
        raydl.fetch(bucket.target("f"), **ALONE)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("cause", "code"), [("no bucket", 4), ("refused", 4), ("no credentials", 2), ("gone", 3)]
)
def test_a_source_and_a_destination_end_alike(bucket, origin, in_tmp, monkeypatch, cause, code):
    standard = pytest.importorskip("botocore.retries.standard")
    monkeypatch.setattr(standard.ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    if cause == "no bucket":
        bucket.bucket = "no-such-bucket"
    elif cause == "gone":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    else:
        bucket.on(refuse(403, "AccessDenied"), lambda call: True, None)
    if cause == "no credentials":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
    there, quick = bucket.target("d/"), {**ALONE, "retries": 0}
    codes = []
    for run in (
        lambda: raydl.fetch(bucket.target("f"), **quick),
        lambda: raydl.fetch_many([there], "d", **quick),
        lambda: raydl.fetch(origin.url(), bucket.target("f"), **quick),
        lambda: raydl.fetch_many([origin.url()], there, **quick),
    ):
        with pytest.raises(raydl.RaydlError) as raised:
            run()
        codes.append(raised.value.exit_code)
    assert codes == [code] * 4


def test_a_profile_that_is_not_there(bucket, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(UsageError, match="ProfileNotFound; credentials are AWS_PROFILE"):
        raydl.probe(bucket.target("f"))


@pytest.mark.parametrize(("scheme", "library"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_library_that_is_not_there(scheme, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(_registry, scheme, raising=False)
    stores.forget()
    with pytest.raises(UsageError, match=f"{scheme}:// needs {library}; pip install"):
        raydl.probe(f"{scheme}://b/k")


def test_the_command_line_tells_no_secret(bucket, tmp_path):
    put(bucket, **{"d/f": b"data"})
    done = run_raydl("fetch", bucket.target("d/f"), "--json", "--address", "none", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["url"] == bucket.target("d/f")
    done = run_raydl("probe", bucket.target("d/f"), cwd=tmp_path)
    assert done.returncode == 0
    assert "Signature" not in done.stdout + done.stderr
    done = run_raydl("fetch", bucket.target("none"), "--address", "none", cwd=tmp_path)
    assert done.returncode == HttpError.exit_code
    assert "Traceback" not in done.stderr
    assert "Signature" not in done.stderr


def test_a_file_that_is_open_for_longer_than_a_signature_is_good(cloud):
    data = random_bytes(3_000_000)
    cloud.put("f", data)
    with raydl.open("gs://b/f", address="none", part_size=100_000) as file:
        assert file.read(1000) == data[:1000]
        over = cloud.signed
        cloud.good = lambda number: number > over
        file.seek(2_500_000)
        assert file.read(1000) == data[2_500_000:2_501_000]


def test_what_the_store_is_trusted_by(make_origin, certificates, monkeypatch, in_tmp):
    """AWS_CA_BUNDLE is S3's own setting."""
    origin = secured(make_origin(b"data", headers={}), certificates)
    url = origin.url("/b/f?X-Amz-Signature=s").replace("http:", "https:")
    monkeypatch.setitem(SCHEMES, "s3", lambda name: (url, None))
    with pytest.raises(NetworkError):
        raydl.fetch("s3://b/f", **ALONE)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificates / "ca.pem"))
    raydl.fetch("s3://b/f", **ALONE)
    assert raydl.fetch_many(["s3://b/f"], "d", address="none", progress="none").done == 1


def test_who_has_a_signature_shows_nothing_else(cloud, tmp_path, in_tmp):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password secret")
    netrc.chmod(0o600)
    cloud.put("f", b"data")
    raydl.fetch("gs://b/f", netrc=str(netrc), **ALONE)
    raydl.fetch_many(["gs://b/f"], "d", netrc=str(netrc), address="none", progress="none")
    assert {seen.headers.get("authorization") for seen in cloud.origin.requests} == {None}


@pytest.fixture
def hanging(monkeypatch):
    """What ``gs://`` is here: it ``hangs`` as it is made, or as it signs, until the test's end."""
    over = threading.Event()

    class Files(AbstractFileSystem):
        protocol = "gs"
        hangs = "sign"

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            if self.hangs == "made":
                over.wait(20)

        def sign(self, path, expiration=None, **kwargs):
            over.wait(20)
            return f"http://h/{path}"

    monkeypatch.setitem(_registry, "gs", Files)
    monkeypatch.setattr(stores, "LONGEST_ANSWER", 0.1)
    stores.forget()
    yield Files
    over.set()
    stores.forget()


@pytest.mark.parametrize("hangs", ["made", "sign"])
def test_a_library_that_does_not_return_is_left_alone(hanging, hangs):
    hanging.hangs = hangs
    with pytest.raises(TimedOutError, match="the store did not answer for gs://b/f"):
        stores.signed("gs://b/f")


def test_one_store_does_not_wait_for_another(hanging, monkeypatch):
    class Files(AbstractFileSystem):
        protocol = "az"

        def sign(self, path, expiration=None, **kwargs):
            return f"http://h/{path}"

    hanging.hangs = "made"
    monkeypatch.setitem(_registry, "az", Files)
    with pytest.raises(TimedOutError):
        stores.signed("gs://b/f")
    assert stores.signed("az://c/f") == ("http://h/c/f", None)
