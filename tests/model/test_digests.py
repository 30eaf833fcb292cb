import hashlib
import zlib

import pytest

from raydl.model.digests import ALGORITHMS, Checksum, Proof, RunningDigest, is_known, new_hash
from raydl.model.errors import ChecksumError, UsageError

CRCS = {"crc32": f"{zlib.crc32(b'hello'):08x}", "crc32c": "9a71bb4c"}


def test_a_crc_that_others_computed():
    """The check value of CRC-32C for "123456789", see RFC 3720, appendix B.4, and its kin."""
    digest = new_hash("crc32c")
    digest.update(memoryview(b"123456789"))
    assert digest.hexdigest() == "e3069283"


def test_a_crc_without_its_library(monkeypatch):
    monkeypatch.setattr("raydl.model.digests._crc32c", lambda: None)
    assert not is_known("crc32c")
    with pytest.raises(UsageError, match="needs a library"):
        Checksum.parse("crc32c:00000000")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_verifies_and_refuses(algorithm):
    right = CRCS.get(algorithm) or hashlib.new(algorithm, b"hello").hexdigest()
    digest = RunningDigest(Proof(Checksum.parse(f"{algorithm}:{right.upper()}"), "given"))
    digest.take(memoryview(b"he"))
    digest.update(memoryview(b"llo")).result()
    assert digest.verify("x") == {algorithm: right}
    digest.take(memoryview(b"!"))
    with pytest.raises(ChecksumError, match=f"x has {algorithm}"):
        digest.verify("x")
    digest.close()


@pytest.mark.parametrize(
    "text", ["SHA-256=" + "ab" * 32, "sha256-" + "ab" * 32, " sha256:" + "AB" * 32]
)
def test_usual_spellings(text):
    assert Checksum.parse(text) == Checksum("sha256", "ab" * 32)


@pytest.mark.parametrize(
    "text", ["", "ab" * 32, "crc:00", "sha256:abcd", "sha256:" + "zz" * 32, "md5:"]
)
def test_what_is_no_checksum(text):
    with pytest.raises(UsageError):
        Checksum.parse(text)


def test_a_digest_of_another_length():
    with pytest.raises(UsageError, match=r"^an md5 digest has 32 hex digits, not 'ab'$"):
        Checksum.parse("md5:ab")
    with pytest.raises(UsageError, match=r"^a sha1 digest has 40 hex digits, not ''$"):
        Checksum.parse("sha1:")


@pytest.mark.parametrize(
    ("digits", "algorithm"), [(32, "md5"), (40, "sha1"), (64, "sha256"), (128, "sha512")]
)
def test_a_bare_digest_is_told_what_it_lacks(digits, algorithm):
    with pytest.raises(UsageError, match=f"write {algorithm}:{'a' * digits}$"):
        Checksum.parse(" " + "A" * digits)


def test_without_a_checksum_nothing_is_computed():
    digest = RunningDigest(None)
    assert digest.update(memoryview(b"x")) is None
    assert digest.verify("x") == {}
    assert not digest.wanted
    digest.close()
