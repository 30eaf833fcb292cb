import hashlib

import pytest

from raydl.checksum import ALGORITHMS, Checksum, Proof, RunningDigest
from raydl.errors import ChecksumError, UsageError


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_verifies_and_refuses(algorithm):
    right = hashlib.new(algorithm, b"hello", usedforsecurity=False).hexdigest()
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


def test_without_a_checksum_nothing_is_computed():
    digest = RunningDigest(None)
    assert digest.update(memoryview(b"x")) is None
    assert digest.verify("x") == {}
    assert not digest.wanted
    digest.close()
