"""A bucket for each test, in a service that all share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.landing.service import Service


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 service of moto's on this machine."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def service(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A bucket, behind a proxy, that boto3 finds by its environment."""
    boto3 = pytest.importorskip("boto3")
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
