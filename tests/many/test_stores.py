"""All that is below a prefix of a store."""

# ruff: noqa: F811 - fixtures

import hashlib
import json
from collections import Counter

import pytest

import raydl
from raydl.many.listings import Listings
from raydl.many.lists import Unreadable, all_of, entries, read_list
from raydl.model.errors import FilesFailedError, HttpError, NetworkError, UsageError
from raydl.origin.resolver import SCHEMES
from raydl.output.ledger import NAME
from raydl.workers.smallfiles import LARGEST
from tests.conftest import random_bytes, run_raydl
from tests.landing.service import refuse
from tests.many.test_run import failures, there
from tests.objectstores import (  # noqa: F401 - fixtures
    as_amazon,
    bucket,
    cloud,
    put,
    s3_server,
    service,
)

OBJECTS = {
    "p/a": b"a", "p/e": b"", "p/b c+%41?x#é.txt": b"odd", "p/d/x.json": b"{}", "p/d/y//z": b"no",
    "p/": b"", "p/d/": b"", "p2/other": b"other", "p": b"not below",
}  # fmt: skip

BELOW = {path: OBJECTS[f"p/{path}"] for path in ("a", "e", "b c+%41?x#é.txt", "d/x.json")}


def fetch(*names, directory, **options):
    return raydl.fetch_many(
        list(names), directory, **{"address": "none", "progress": "none", "retries": 1, **options}
    )


def test_below_a_prefix_of_s3(bucket, tmp_path):
    put(bucket, **OBJECTS)
    report = fetch(bucket.target("p/"), directory=tmp_path)
    assert there(tmp_path) == BELOW
    assert [each.url for each in report] == [bucket.target("p/d/y//z")]
    listings = [call for call in bucket.calls if "list-type" in call.path]
    assert len(listings) == 1
    before = len(bucket.calls)
    again = fetch(bucket.target("p/"), directory=tmp_path)
    assert (again.done, again.skipped) == (0, len(BELOW))
    assert ["list-type" in call.path for call in bucket.calls[before:]].count(False) <= 1


def test_thousands(bucket, tmp_path):
    """A listing has pages of a thousand."""
    backend = pytest.importorskip("moto.s3.models").s3_backends["123456789012"]["global"]
    for number in range(3000):
        backend.put_object(bucket.bucket, f"many/{number:04}", b"%d" % number)
    assert len(list(Listings()(bucket.target("many/")).files)) == 3000
    report = fetch(bucket.target("many/"), directory=tmp_path, include=["*99"])
    assert (report.done, report.failed) == (30, 0)
    assert (tmp_path / "2999").read_bytes() == b"2999"
    assert [call.method for call in bucket.calls].count("HEAD") <= 1


def test_md5s_of_small_objects(bucket, tmp_path):
    put(bucket, **{"p/good": b"good"})
    bucket.on(as_amazon, lambda call: True, None)
    report = tmp_path / "report.jsonl"
    fetch(bucket.target("p/"), directory=tmp_path / "d", report=str(report))
    (line,) = map(json.loads, report.read_text().splitlines())
    assert line["digest"].startswith("md5:")
    assert line["url"] == bucket.target("p/good")


def test_patterns(cloud, tmp_path):
    for key, data in OBJECTS.items():
        cloud.put(key, data)
    fetch("gs://b/p/", directory=tmp_path, include=["*.json", "a"], exclude=["a"])
    assert there(tmp_path) == {"d/x.json": b"{}"}
    with pytest.raises(UsageError, match="the patterns fit nothing below gs://b/p/"):
        fetch("gs://b/p/", directory=tmp_path, include=["*.csv"])


def test_several_and_urls_among_them(cloud, make_origin, tmp_path):
    web = make_origin(b"web")
    cloud.put("one/a", b"1")
    cloud.put("two/a", b"2")
    cloud.put("single", b"3")
    events = []
    report = fetch(
        ("gs://b/one/", "first"), web.url("/w"), {"url": "gs://b/two/", "path": "second/"},
        "gs://b/single", directory=tmp_path, on_event=events.append,
    )  # fmt: skip
    assert there(tmp_path) == {"first/a": b"1", "w": b"web", "second/a": b"2", "single": b"3"}
    assert report.failed == 0
    assert cloud.listed == 2
    assert not any("secret" in json.dumps(event.to_dict()) for event in events)
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.glob(f"{NAME}*"))


def test_in_lists(cloud, make_origin, tmp_path):
    web = make_origin(b"web")
    cloud.put("p/a", b"1")
    cloud.put("p/b", b"2")
    listed = tmp_path / "list.txt"
    lines = [web.url("/w"), "gs://b/p/\tsub", "gs://none/p/", "gs://b/p/\tx\tmd5:" + "0" * 32]
    listed.write_text("\n".join([*lines, web.url("/v")]))
    found = list(all_of([web.url("/u")], [str(listed)], None, Listings()))
    assert [one.number for one in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [one.path for one in found if not isinstance(one, Unreadable)] == [
        None, None, "sub/a", "sub/b", None,
    ]  # fmt: skip
    assert [one.why.message for one in found if isinstance(one, Unreadable)] == [
        "there is no gs://none/p/",
        "gs://b/p/ is many files",
    ]


@pytest.mark.parametrize("base", ["gs://b/d/", "gs://b/d/SHA256SUMS", "gs://b"])
def test_a_list_of_digests(cloud, tmp_path, base):
    cloud.put("d/x/a b%41" if "d" in base else "x/a b%41", b"data")
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(b'data').hexdigest()}  x/a b%41\n")
    (item,) = read_list(str(sums), base)
    assert fetch(item, directory=tmp_path / "d").failed == 0
    assert there(tmp_path / "d") == {"x/a b%41": b"data"}


def test_a_bad_prefix_ends_it_before_anything_is_fetched(cloud, make_origin, tmp_path):
    web = make_origin(b"web")
    with pytest.raises(HttpError, match="there is no gs://none/p/"):
        fetch(web.url("/w"), "gs://none/p/", directory=tmp_path)
    with pytest.raises(UsageError, match="there is nothing below gs://b/p/"):
        fetch(web.url("/w"), "gs://b/p/", directory=tmp_path)
    assert web.requests == []


def test_a_listing_that_is_refused(bucket, tmp_path):
    bucket.on(refuse(403, "InvalidAccessKeyId"), lambda call: True, None)
    with pytest.raises(HttpError, match=r"access to s3://.*/p/ is refused.*AWS_PROFILE") as raised:
        fetch(bucket.target("p/"), directory=tmp_path)
    assert raised.value.status == 403
    assert "secret words" not in str(raised.value)


def test_a_store_that_is_gone(bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkError, match="cannot be asked for s3://"):
        fetch(bucket.target("p/"), directory=tmp_path)
    report = fetch(*(bucket.target(f"{n}") for n in range(3)), directory=tmp_path)
    assert [each.error for each in report] == ["NetworkError"] * 3


def test_no_name_leaves_the_directory(cloud, tmp_path):
    cloud.put("p/../../x", b"1")
    cloud.put("p/raydl.toml", b"1")
    cloud.put("p/full/", b"1")
    cloud.put("p/a", b"1")
    report = fetch("gs://b/p/", directory=tmp_path / "d")
    assert there(tmp_path / "d") == {"a": b"1"}
    assert {each.url.removeprefix("gs://b/p/") for each in report} == {
        "../../x", "raydl.toml", "full/",
    }  # fmt: skip


def test_urls_are_signed_when_their_turn_has_come(cloud, tmp_path):
    """All that were signed with the list would have expired."""
    for number in range(200):
        cloud.put(f"p/{number}", b"data")
    asked = Counter()

    def good(number):
        asked[number] += 1
        return number > cloud.signed - 80

    cloud.good = good
    report = fetch("gs://b/p/", directory=tmp_path, retries=0)
    assert report.failed == 0
    assert max(asked.values()) == 1


def test_one_that_has_expired_is_signed_again_once(cloud, tmp_path):
    cloud.put("p/a", b"data")
    cloud.good = lambda number: number > 1
    assert fetch("gs://b/p/", directory=tmp_path).failed == 0
    cloud.good = lambda number: False
    before = cloud.signed
    report = fetch("gs://b/p/", directory=tmp_path / "again", retries=5)
    assert {error for error, _ in failures(report).values()} == {"HttpError"}
    assert cloud.signed - before == 2


def test_a_large_one_that_expires_half_way(cloud, tmp_path):
    data = random_bytes(2 * LARGEST)
    cloud.put("p/large", data)
    cloud.put("p/small", b"small")
    served = Counter()

    def good(number):
        served[number] += 1
        return served[number] <= 8

    cloud.good = good
    report = fetch("gs://b/p/", directory=tmp_path, part_size="1MiB")
    assert report.failed == 0
    assert there(tmp_path) == {"large": data, "small": b"small"}
    assert cloud.signed > 4


def test_what_is_private_stays_with_the_first_host(cloud, make_origin, tmp_path):
    web = make_origin(b"web")
    cloud.put("p/a", b"1")
    cloud.put("p/large", random_bytes(LARGEST + 1))
    header = {"header": ["X-Key: secret-key"]}
    fetch(web.url("/w"), "gs://b/p/", directory=tmp_path / "1", **header)
    assert {seen.headers.get("x-key") for seen in web.requests} == {"secret-key"}
    assert {seen.headers.get("x-key") for seen in cloud.origin.requests} == {None}
    web.requests.clear()
    fetch("gs://b/p/", web.url("/w"), directory=tmp_path / "2", **header)
    assert {seen.headers.get("x-key") for seen in web.requests} == {None}
    assert "secret-key" in {seen.headers.get("x-key") for seen in cloud.origin.requests}


def test_one_bucket_is_one_host(cloud, tmp_path):
    from raydl.many.host import Task
    from raydl.many.hosts import Hosts
    from raydl.settings.options import Options

    hosts = Hosts(Options(), lambda event: None)
    hosts.owner = "gs://b/x"
    for number, one in enumerate(entries(["gs://b/x", "gs://b/y/z", "gs://b2/x"])):
        hosts.add(Task(one, str(number)), 1, 0.0)
    assert sorted(map(len, hosts)) == [1, 2]


@pytest.mark.cluster
def test_nodes_fetch_what_is_below(warm_nodes, cloud, tmp_path):
    for number in range(100):
        cloud.put(f"p/{number}", b"data")
    report = fetch("gs://b/p/", directory=tmp_path, address=warm_nodes.address, fetch_here=False)
    assert (report.done, report.failed) == (100, 0)


def test_on_the_command_line(bucket, tmp_path):
    put(bucket, **OBJECTS)
    args = ["--address", "none", "--progress", "json", "--report", "r.csv"]
    done = run_raydl(
        "fetch", bucket.target("p/"), "--output-dir", "d", "--exclude", "*//*", *args, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert there(tmp_path / "d") == BELOW
    told = done.stdout + done.stderr + (tmp_path / "r.csv").read_text()
    assert bucket.target("p/a") in told
    assert "Signature" not in told
    done = run_raydl("fetch", bucket.target("p/"), *args, cwd=tmp_path)
    assert done.returncode == FilesFailedError.exit_code
    done = run_raydl("fetch", "s3://no-such-bucket/", "--address", "none", cwd=tmp_path)
    assert done.returncode == HttpError.exit_code
    assert "there is no s3://no-such-bucket/" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_mirror_may_be_an_object(bucket, tmp_path):
    put(bucket, **{"p/a": b"a"})
    item = raydl.Item("http://127.0.0.1:1/f", "f", mirrors=(bucket.target("p/a"),))
    assert fetch(item, directory=tmp_path).failed == 0
    assert there(tmp_path) == {"f": b"a"}


@pytest.mark.parametrize("good", [0, 1])
def test_what_cannot_be_signed_comes_from_the_next_mirror(make_origin, tmp_path, monkeypatch, good):
    signed = []

    def sign(name):
        signed.append(name)
        if len(signed) > good:
            raise UsageError("no credentials")
        return "http://127.0.0.1:1/f", None

    monkeypatch.setitem(SCHEMES, "gs", sign)
    item = raydl.Item("gs://b/f", "f", mirrors=(make_origin(b"a").url(),))
    assert fetch(item, directory=tmp_path).failed == 0
    assert len(signed) == good + 1
    assert there(tmp_path) == {"f": b"a"}
