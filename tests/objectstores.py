"""Object stores on this machine: moto's S3 behind a proxy, and a file system of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from raydl.origin import stores
from tests.landing.conftest import s3_server, service  # noqa: F401 - fixtures
from tests.landing.service import Call, Handler, Service
from tests.scripted import Origin, status

pytest.importorskip("fsspec")
from fsspec.registry import _registry
from fsspec.spec import AbstractFileSystem


@pytest.fixture
def bucket(service: Service) -> Iterator[Service]:  # noqa: F811
    """A bucket of S3 that s3fs finds by its environment."""
    pytest.importorskip("s3fs")
    stores.forget()
    yield service
    stores.forget()


def put(service: Service, **objects: bytes) -> None:  # noqa: F811
    for key, data in objects.items():
        service.client.put_object(Bucket=service.bucket, Key=key, Body=data)


def as_amazon(handler: Handler, call: Call) -> bool:
    """Answer with the two ids that Amazon's answers have."""
    code, headers, body = handler.forward(call)
    handler.reply(code, {**headers, "x-amz-request-id": "R", "x-amz-id-2": "I"}, body)
    return True


class Cloud:
    """Objects of one bucket, which ``origin`` serves to whoever has a signature that is good."""

    def __init__(self, origin: Origin) -> None:
        self.origin, self.signed, self.listed = origin, 0, 0
        self.objects: dict[str, bytes] = {}
        self.good: Callable[[int], bool] = lambda number: True
        origin.on(self._check, None, lambda seen: True)

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self.origin.files[f"/b/{quote(key)}"] = data

    def _check(self, handler: Any, seen: Any) -> bool:
        path, _, number = seen.path.partition("?X-Goog-Signature=secret")
        if seen.method != "GET" or not number or not self.good(int(number)):
            return status(403)(handler, seen)
        return path not in self.origin.files and status(404)(handler, seen)


@pytest.fixture
def cloud(make_origin: Callable[..., Origin], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """What ``gs://b/`` is here."""
    cloud = Cloud(make_origin(b""))

    class Files(AbstractFileSystem):  # type: ignore[misc]
        protocol = "gs"

        def sign(self, path: str, expiration: float | None = None, **kwargs: Any) -> str:
            cloud.signed += 1
            return cloud.origin.url(f"/{quote(path)}?X-Goog-Signature=secret{cloud.signed}")

        def find(self, path: str, *args: Any, **kwargs: Any) -> dict[str, dict[str, Any]]:
            cloud.listed += 1
            if not path.startswith("b/"):
                raise FileNotFoundError(path)
            found = {f"b/{key}": data for key, data in cloud.objects.items()}
            return {
                name: {"name": name, "size": len(data), "type": "file"}
                for name, data in found.items()
                if name.startswith(path.rstrip("/"))
            }

    monkeypatch.setitem(_registry, "gs", Files)
    stores.forget()
    yield cloud
    stores.forget()
