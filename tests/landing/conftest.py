"""A bucket for each test, in a service that all share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from tests.landing.service import Service


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 service of moto's on this machine."""
    server_module = pytest.importorskip("moto.server")
    models = pytest.importorskip("moto.s3.models")
    models.S3_UPLOAD_PART_MIN_SIZE = 256  # for small files, of which tests have many
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@cache
def _loader(create: Callable[..., Any]) -> Callable[..., Any]:
    return cache(create)


@pytest.fixture
def service(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A bucket, behind a proxy, that boto3 finds by its environment."""
    boto3 = pytest.importorskip("boto3")
    loaders = pytest.importorskip("botocore.loaders")
    # Reading what boto3 knows of services takes a quarter of a second a session.
    monkeypatch.setattr(loaders, "create_loader", _loader(loaders.create_loader))
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.session.Session().client("s3", endpoint_url=s3_server)
    bucket = f"bucket-{os.urandom(6).hex()}"
    client.create_bucket(Bucket=bucket)
    with Service(s3_server, client, bucket) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", service.url)
        yield service
    client.close()
