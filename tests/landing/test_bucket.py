"""A file into a bucket, alone: what is right, and what goes wrong."""

from __future__ import annotations

import pytest

from raydl.landing import bucket
from tests.conftest import random_bytes
from tests.landing.means import make_means

SIZE = 20 * (1 << 20) + 12_345
DATA = random_bytes(SIZE)


@pytest.fixture
def source(make_origin):
    return make_origin(DATA, headers={"ETag": '"v1"'})


def fetch(service, origin, key="f", **values):
    events = []
    report = bucket.run(make_means(origin.url(), events, **values), service.target(key))
    return report, events


def test_the_object_is_the_file(service, source):
    report, _ = fetch(service, source)
    assert service.get("f") == DATA
    assert report.path == f"s3://{service.bucket}/f"
    assert report.fetched == report.size == SIZE
    assert not service.unfinished()
    assert [len(put.body) for put in sorted(service.puts(), key=lambda c: c.number)] == [
        8 << 20, 8 << 20, SIZE - (16 << 20)
    ]  # fmt: skip
