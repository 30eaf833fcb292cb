"""Fuzzes every parser of what an origin sends, with what coverage finds; not a test by itself.

    pip install atheris
    python -m tests.fuzz_headers tests/corpus -max_total_time=300

What it found worth keeping is in tests/corpus, and tests/test_fuzz.py runs all of it.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

from raydl.model.digests import Checksum
from raydl.model.errors import UsageError
from raydl.model.naming import file_name
from raydl.origin.digestheaders import stated_digests
from raydl.origin.headers import (
    content_coding,
    content_length,
    is_strong_date,
    last_modified,
    media_type,
    parse_content_range,
    strong_etag,
    wait_asked,
    weak_etag,
)
from raydl.origin.proof import find_digest


def content_range(text: str) -> None:
    parsed = parse_content_range(text)
    if parsed is not None and parsed[0] is not None:
        first, last, total = parsed
        assert last is not None
        assert 0 <= first <= last
        assert total is None or last < total


def wait(text: str) -> None:
    for name in ("Retry-After", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset"):
        seconds = wait_asked({name: text})
        assert seconds is None or seconds >= 0


def small(text: str) -> None:
    etag = strong_etag(text)
    assert etag is None or (etag[0] == etag[-1] == '"' and "\n" not in etag)
    assert content_coding({"Content-Encoding": text}).isprintable()
    length = content_length({"Content-Length": text})
    assert length is None or 0 <= length < 10**18
    date = last_modified({"Last-Modified": text})
    assert date is None or date.isprintable()
    is_strong_date({"Last-Modified": text, "Date": text})
    assert media_type({"Content-Type": text}).isprintable()
    weak = weak_etag(text)
    assert weak is None or weak[0] == weak[-1] == '"'


def name(text: str) -> None:
    for found in (file_name(text, "https://h/x"), file_name(None, "https://h/" + text)):
        assert found is None or (
            0 < len(found.encode()) <= 255
            and not found.startswith(".")
            and not set(found) & {"/", "\\", "\0"}
            and found.isprintable()
        )


def digest(text: str) -> None:
    for header in ("Repr-Digest", "Digest", "x-goog-hash", "x-amz-checksum-sha256", "Content-MD5"):
        for proof in stated_digests({header: text}, is_whole=True):
            assert Checksum.parse(str(proof.checksum)) == proof.checksum
    with contextlib.suppress(UsageError):
        find_digest(text, ["file"], "list")


PARSERS: list[Callable[[str], None]] = [content_range, wait, small, name, digest]


def one(data: bytes) -> None:
    """The first byte chooses the parser, the rest is the header as http.client decodes it."""
    if data:
        PARSERS[data[0] % len(PARSERS)](data[1:].decode("latin-1"))


if __name__ == "__main__":
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
