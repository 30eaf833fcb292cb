"""Digests that are published beside a file or stated by its origin."""

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raydl
from raydl.model.digests import Checksum, new_hash
from raydl.model.errors import ChecksumError, HttpError, UsageError
from raydl.origin.digestheaders import stated_digests
from raydl.origin.proof import find_digest
from raydl.settings.options import Options
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import head, redirect, status

DATA = b"some data"


def stated_digest(*args, **kwargs):
    """The strongest."""
    return next(iter(stated_digests(*args, **kwargs)), None)


SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
ZEROS = "0" * 64


def crc(algorithm):
    running = new_hash(algorithm)
    running.update(memoryview(DATA))
    return base64.b64encode(bytes.fromhex(running.hexdigest())).decode()


def b64(algorithm, data=DATA):
    return base64.b64encode(hashlib.new(algorithm, data).digest()).decode()


class TestLists:
    @pytest.mark.parametrize(
        "text",
        [
            f"{SHA256}\n",
            f"{SHA256}  file.iso\n{ZEROS}  other.iso\n",
            f"# sums\r\n{ZEROS} *other.iso\r\n{SHA256.upper()} *./dir/file.iso\r\n",
            f"SHA256 (file.iso) = {SHA256}\nSHA256 (x) = {ZEROS}",
            f"{MD5} other.iso\n{SHA256} file.iso",
        ],
    )
    def test_forms(self, text):
        assert find_digest(text, ["file.iso"], "w") == Checksum("sha256", SHA256)

    def test_the_url_counts_before_the_name(self):
        text = f"{ZEROS}  b\n{SHA256}  a\n"
        assert find_digest(text, ["a", "b"], "w").hex == SHA256

    def test_lengths_tell_the_algorithm(self):
        assert find_digest(MD5, ["a"], "w").algorithm == "md5"
        assert find_digest("a" * 40, ["a"], "w").algorithm == "sha1"
        assert find_digest("a" * 128, ["a"], "w").algorithm == "sha512"

    @pytest.mark.parametrize(
        ("text", "count"),
        [(f"{SHA256}  b", "1 digest"), (f"{SHA256}\n{ZEROS}", "2 digests")],
    )
    def test_not_there(self, text, count):
        with pytest.raises(UsageError, match=f"w has no digest of a; it has {count} of other"):
            find_digest(text, ["a"], "w")

    @pytest.mark.parametrize("text", ["", "<html>", "ab  a"])
    def test_what_is_no_list(self, text):
        with pytest.raises(UsageError, match=r"w is no list of digests: .*; .* HEX  NAME"):
            find_digest(text, ["a"], "w")

    def test_the_strongest_counts_first(self):
        text = f"{MD5}  f\n{'a' * 40}  f\n{SHA256}  f\n"
        assert find_digest(text, ["f"], "w").hex == SHA256
        text = f"MD5 (f) = {MD5}\nSHA512 (f) = {'b' * 128}\nBLAKE2b (f) = {'c' * 128}"
        assert find_digest(text, ["f"], "w").algorithm == "sha512"

    @pytest.mark.parametrize("listed", ["b/f.iso", "./b/f.iso", "/pub/b/f.iso", "pub/b/f.iso"])
    def test_the_path_counts_before_the_name(self, listed):
        text = f"{ZEROS}  a/f.iso\n{ZEROS}  f.iso\n{SHA256}  {listed}\n{ZEROS}  c/b/f.iso\n"
        assert find_digest(text, ["pub/b/f.iso", "f.iso"], "w").hex == SHA256

    def test_a_file_of_that_name_elsewhere_counts_where_there_is_but_one(self):
        assert find_digest(f"{SHA256}  a/f.iso", ["b/f.iso"], "w").hex == SHA256
        text = f"{SHA256}  a/f.iso\n{SHA256}  c/f.iso\n"
        assert find_digest(text, ["b/f.iso"], "w").hex == SHA256

    @pytest.mark.parametrize(
        "text",
        [
            f"{SHA256}  a/f\n{ZEROS}  c/f\n",
            f"{SHA256}  a/f\n{MD5}  c/f\n",
            f"{SHA256}  b/f\n{ZEROS}  b/f\n",
            f"{SHA256}  f\n{ZEROS}  f\n",
        ],
    )
    def test_what_is_ambiguous_is_an_error(self, text):
        with pytest.raises(UsageError, match="w has several digests of f; give the right one"):
            find_digest(text, ["b/f"], "w")

    @given(st.text())
    def test_nothing_breaks_it(self, text):
        with contextlib.suppress(UsageError):
            assert isinstance(find_digest(text, ["a"], "w"), Checksum)


class TestStated:
    @pytest.mark.parametrize(
        ("name", "value", "algorithm"),
        [
            ("Repr-Digest", f"sha-256=:{b64('sha256')}:", "sha256"),
            ("Repr-Digest", f"md5=:{b64('md5')}:;a=1, sha-512=:{b64('sha512')}:", "sha512"),
            ("Digest", f"md5={b64('md5')},SHA-256={b64('sha256')}", "sha256"),
            ("x-goog-hash", f"crc32c=AAAAAA==, md5={b64('md5')}", "md5"),
            ("x-amz-checksum-sha256", b64("sha256"), "sha256"),
            ("x-goog-hash", f"crc32c={crc('crc32c')}", "crc32c"),
            ("x-amz-checksum-crc32c", crc("crc32c"), "crc32c"),
            ("x-amz-checksum-crc32", crc("crc32"), "crc32"),
            ("Content-MD5", b64("md5"), "md5"),
        ],
    )
    def test_headers(self, name, value, algorithm):
        found = stated_digest({name: value}, is_whole=True)
        running = new_hash(algorithm)
        running.update(memoryview(DATA))
        expected = running.hexdigest()
        assert found == (Checksum(algorithm, expected), name)

    def test_all_of_them_the_strongest_first(self):
        both = {"x-goog-hash": f"crc32c={crc('crc32c')},md5={b64('md5')}"}
        found = stated_digests({**both, "Digest": f"sha-256={b64('sha256')}"}, is_whole=True)
        assert [proof.checksum.algorithm for proof in found] == ["sha256", "md5", "crc32c"]

    def test_googles_digest_is_of_what_is_stored(self):
        """An object that is stored as gzip is unpacked on its way, unless that is asked for."""
        stored = {"x-goog-hash": f"md5={b64('md5')}", "x-goog-stored-content-encoding": "gzip"}
        assert stated_digest(stored, is_whole=True) is None
        assert stated_digest({**stored, "Content-Encoding": "gzip"}, is_whole=True) is not None
        stored["x-goog-stored-content-encoding"] = "identity"
        assert stated_digest(stored, is_whole=True) is not None

    def test_what_s3_wrote_in_one_piece(self):
        s3 = {"x-amz-request-id": "R", "x-amz-id-2": "I", "ETag": f'"{MD5}"'}
        for more in ({}, {"x-amz-server-side-encryption": "AES256"}):
            found = stated_digest({**s3, **more}, is_whole=False)
            assert found == (Checksum("md5", MD5), "ETag")

    @pytest.mark.parametrize(
        "more",
        [
            {"x-amz-server-side-encryption": "aws:kms"},
            {"x-amz-server-side-encryption": "aws:kms:dsse"},
            {"x-amz-server-side-encryption-customer-algorithm": "AES256"},
            {"x-amz-storage-class": "EXPRESS_ONEZONE"},
            {"ETag": f'"{MD5}-2"'},
            {"ETag": f'W/"{MD5}"'},
            {"Content-Encoding": "gzip"},
            {"x-amz-id-2": None},
            {"x-amz-request-id": None},
        ],
        ids=str,
    )
    def test_etags_that_may_be_no_md5(self, more):
        s3 = {"x-amz-request-id": "R", "x-amz-id-2": "I", "ETag": f'"{MD5}"', **more}
        said = {name: value for name, value in s3.items() if value is not None}
        assert stated_digest(said, is_whole=True) is None

    def test_what_does_not_count(self):
        whole = {"is_whole": True}
        assert stated_digest({"Content-MD5": b64("md5")}, is_whole=False) is None
        assert stated_digest({"x-amz-checksum-sha256": b64("sha256") + "-3"}, **whole) is None
        composite = {"x-amz-checksum-type": "COMPOSITE", "x-amz-checksum-sha1": b64("sha1")}
        assert stated_digest(composite, **whole) is None
        assert stated_digest({"Repr-Digest": "sha-256=:AAAA:, unixsum=:AA==:"}, **whole) is None
        assert stated_digest({"X-Linked-Etag": SHA256}, **whole) is None

    def test_hugging_face(self):
        linked = {"X-Linked-Etag": f'"{SHA256}"'}
        found = stated_digest({}, is_whole=True, earlier=[("huggingface.co", linked)])
        assert found == (Checksum("sha256", SHA256), "X-Linked-Etag")
        assert stated_digest({}, is_whole=True, earlier=[("example.org", linked)]) is None
        git = {"X-Linked-Etag": '"' + "a" * 40 + '"'}
        assert stated_digest({}, is_whole=True, earlier=[("huggingface.co", git)]) is None

    @given(st.text(), st.sampled_from(["Repr-Digest", "Digest", "x-goog-hash", "Content-MD5"]))
    def test_nothing_breaks_it(self, text, name):
        found = stated_digest({name: text}, is_whole=True)
        assert found is None or found.where == name


def fetch(origin, **options):
    return raydl.fetch(origin.url(), **{**ALONE, **options})


def test_what_the_origin_states_is_verified(origin, in_tmp):
    origin.headers["Repr-Digest"] = f"sha-256=:{b64('sha256', origin.data)}:"
    report = fetch(origin, parts=5)
    assert report.digests == {"sha256": hashlib.sha256(origin.data).hexdigest()}
    assert report.proof == "Repr-Digest"
    assert fetch(origin, overwrite=True, origin_digest=False).digests == {}


def test_what_the_origin_states_is_wrong(origin, in_tmp):
    origin.headers["Digest"] = f"sha-256={b64('sha256')}"
    for name in ("file.bin.bad", "file.bin.bad.1"):
        with pytest.raises(ChecksumError, match=rf"which Digest says.*bytes are in .*{name}$"):
            fetch(origin)
        assert (in_tmp / name).read_bytes() == origin.data
    given = "sha256:" + ZEROS
    with pytest.raises(ChecksumError, match="keep_bad=True keeps them"):
        fetch(origin, checksum=given)
    assert len(list(in_tmp.iterdir())) == 2
    with pytest.raises(ChecksumError, match=r"bytes are in .*file\.bin\.bad\.2"):
        fetch(origin, checksum=given, keep_bad=True)


def test_a_given_checksum_counts_before(origin, in_tmp):
    origin.headers["Digest"] = f"sha-256={b64('sha256')}"
    report = fetch(origin, checksum="md5:" + hashlib.md5(origin.data).hexdigest())
    assert report.proof == "given"


def test_a_file_of_digests(origin, in_tmp):
    sums = in_tmp / "SHA256SUMS"
    sums.write_text(f"{hashlib.sha256(origin.data).hexdigest()}  file.bin\n")
    assert fetch(origin, checksum_file=str(sums)).proof == str(sums)
    sums.write_text(f"{ZEROS}  file.bin\n")
    with pytest.raises(ChecksumError):
        fetch(origin, checksum_file=str(sums), overwrite=True)
    origin.requests.clear()
    with pytest.raises(UsageError, match="cannot be read"):
        fetch(origin, checksum_file="nowhere", overwrite=True)
    assert origin.requests == []


def test_a_list_at_a_url(origin, make_origin, in_tmp):
    sums = make_origin(f"{hashlib.sha256(origin.data).hexdigest()} *file.bin\n".encode())
    report = fetch(origin, checksum_url=sums.url("/SHA256SUMS"), user="anna:hunter2")
    assert report.proof == sums.url("/SHA256SUMS")
    assert all("authorization" not in seen.headers for seen in sums.requests)
    assert origin.parts[0].headers["authorization"]
    sums.on(status(404), None, lambda seen: True)
    with pytest.raises(HttpError, match=r"404 .* for .*SHA256SUMS"):
        fetch(origin, checksum_url=sums.url("/SHA256SUMS"), overwrite=True)


class TestSkipExisting:
    """Code 0 means that the file is the right one, where there is a digest to tell."""

    @pytest.fixture(params=["file.bin", None], ids=["path", "directory"])
    def there(self, request, origin, in_tmp):
        """Gets the file, which is there already."""
        (in_tmp / "file.bin").write_bytes(origin.data)
        return lambda **options: raydl.fetch(
            origin.url(), request.param, skip_existing=True, **ALONE, **options
        )

    @pytest.fixture(params=["checksum", "checksum_file", "checksum_url"])
    def digest(self, request, make_origin, in_tmp):
        """Options that name this digest."""

        def options(hex_digest):
            if request.param == "checksum":
                return {"checksum": f"sha256:{hex_digest}"}
            line = f"{hex_digest}  file.bin\n"
            if request.param == "checksum_url":
                return {"checksum_url": make_origin(line.encode()).url("/SHA256SUMS")}
            (in_tmp / "sums").write_text(line)
            return {"checksum_file": str(in_tmp / "sums")}

        return options

    def test_the_right_file(self, origin, there, digest):
        report = there(**digest(hashlib.sha256(origin.data).hexdigest()))
        assert report.skipped
        assert list(report.digests) == ["sha256"]
        assert report.proof
        assert report.summary().endswith("skipped, sha256 verified")
        assert origin.parts == []

    def test_the_wrong_file(self, origin, in_tmp, there, digest):
        with pytest.raises(ChecksumError, match=r"file.bin has sha256 .*overwrite=True"):
            there(**digest(ZEROS))
        assert (in_tmp / "file.bin").read_bytes() == origin.data

    def test_nothing_to_hold_it_against(self, origin, in_tmp, there):
        (in_tmp / "file.bin").write_text("anything")
        assert there().skipped


def test_a_digest_that_was_given_takes_no_probe(origin, in_tmp):
    (in_tmp / "f").write_bytes(DATA)
    options = {"skip_existing": True, "checksum": f"sha256:{SHA256}"}
    assert raydl.fetch(origin.url(), "f", **ALONE, **options).skipped
    assert origin.requests == []


def test_only_one(in_tmp):
    with pytest.raises(UsageError, match="more than one checksum"):
        Options.of({"checksum": f"md5:{MD5}", "checksum_file": "x"})


def test_a_digest_on_a_redirect_counts_for_known_hosts_alone(make_origin, in_tmp):
    origin = make_origin(random_bytes(1000))
    origin.on(redirect("/elsewhere"), 1, head)
    origin.headers["X-Linked-Etag"] = ZEROS
    assert fetch(origin).digests == {}
