"""Digests of the file that an origin states in its headers: pure parsing, nothing assumed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence

from raydl.model.digests import Checksum, Proof, is_known
from raydl.model.errors import UsageError
from raydl.origin.headers import content_coding

STRONGEST = ("sha256", "sha512", "sha1", "md5", "crc32c", "crc32")
"""Of several the first of these counts; sha256 is what most processors have instructions for."""

_LINKED_HOSTS = ("huggingface.co", "hf.co")

Headers = Mapping[str, str]


def stated_digests(
    headers: Headers, *, is_whole: bool, earlier: Sequence[tuple[str, Headers]] = ()
) -> tuple[Proof, ...]:
    """The digests of the whole file that an answer states, the strongest first.

    ``is_whole``: whether the answer is about the whole file, not about a range of it;
    ``earlier`` are host and headers of the redirects that led to it.
    """
    found = [*_stated(headers, is_whole)]
    for host, redirect in earlier:
        if host in _LINKED_HOSTS:
            found += _linked(redirect)
    return tuple(sorted(found, key=lambda proof: STRONGEST.index(proof.checksum.algorithm)))


def _stated(headers: Headers, is_whole: bool) -> Iterator[Proof]:
    # RFC 9530, section 3: a dictionary of byte sequences, over the whole representation.
    for name, value in _items(headers.get("Repr-Digest")):
        yield from _proof(name, value.strip(":"), "Repr-Digest")
    # RFC 3230, section 4.3.2: of the instance, also in an answer with a range of it.
    for name, value in _items(headers.get("Digest")):
        yield from _proof(name, value, "Digest")
    # Google Cloud Storage: of the object as it is stored, which may be unpacked on its way.
    stored = headers.get("x-goog-stored-content-encoding", "").strip().lower()
    if stored in ("", "identity", content_coding(headers)):
        for name, value in _items(headers.get("x-goog-hash")):
            yield from _proof(name, value, "x-goog-hash")
    # S3: a composite is a digest of the digests of its pieces, which are not known here.
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").strip().upper() == "FULL_OBJECT":
        for name in ("sha256", "sha1", "crc32c", "crc32"):
            value = headers.get(f"x-amz-checksum-{name}", "")
            yield from _proof(name, value.strip(), f"x-amz-checksum-{name}")
    yield from _s3_etag(headers)
    if is_whole:  # RFC 1864: of the body, whatever that is
        yield from _proof("md5", headers.get("Content-MD5", "").strip(), "Content-MD5")


def _s3_etag(headers: Headers) -> Iterator[Proof]:
    """S3: the ETag of what was written in one piece is its md5 (API reference, "Object").

    Not where it was encrypted with keys of others (SSE-KMS, SSE-C), of an upload in parts, whose
    ETag has a dash, nor in directory buckets. S3 is known by the two ids that each answer of it has
    (API reference, "Common Response Headers"); who has but one may mean something else by an ETag.
    """
    is_s3 = "x-amz-request-id" in headers and "x-amz-id-2" in headers
    is_plain = (
        headers.get("x-amz-server-side-encryption", "AES256").strip() == "AES256"
        and "x-amz-server-side-encryption-customer-algorithm" not in headers
        and headers.get("x-amz-storage-class", "").strip() != "EXPRESS_ONEZONE"
    )
    etag = re.fullmatch('"([0-9a-f]{32})"', headers.get("ETag", "").strip())
    if is_s3 and is_plain and etag and not content_coding(headers) and is_known("md5"):
        yield Proof(Checksum("md5", etag[1]), "ETag")


def _linked(headers: Headers) -> Iterator[Proof]:
    """Hugging Face: the redirect to a large file states its sha256."""
    match = re.fullmatch(r'"?([0-9a-fA-F]{64})"?', headers.get("X-Linked-Etag", "").strip())
    if match:
        yield Proof(Checksum("sha256", match[1].lower()), "X-Linked-Etag")


def _items(header: str | None) -> Iterator[tuple[str, str]]:
    for item in (header or "").split(","):
        name, equals, value = item.strip().partition("=")
        if equals:
            yield name.strip().lower(), value.partition(";")[0].strip()


def _proof(name: str, value: str, where: str) -> Iterator[Proof]:
    algorithm = name.replace("-", "")
    if algorithm not in STRONGEST or not value or not is_known(algorithm):
        return
    try:
        digest = base64.b64decode(value, validate=True).hex()
        yield Proof(Checksum.parse(f"{algorithm}:{digest}"), where)
    except (binascii.Error, ValueError, UsageError):
        return
