"""A small hub for tests of repositories."""

import hashlib
import json
import random

import pytest

from raydl.workers.smallfiles import FIRST, LARGEST
from tests.landing.conftest import s3_server, service  # noqa: F401 - fixtures here, too
from tests.many.hub import NAME, SHA

COUNT = 60
"""Small files of the library."""


@pytest.fixture
def library(make_origin):
    """An origin with small files, and one that takes two requests."""
    dice = random.Random(5)
    origin = make_origin(b"")
    origin.files = {f"/{n:03}": dice.randbytes(dice.randint(0, 30_000)) for n in range(COUNT)}
    origin.files["/middle"] = dice.randbytes(2 * FIRST)
    return origin


def _git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def files():
    """Those of its repository."""
    dice = random.Random(4)
    return {
        "config.json": b'{"a": 1}',
        ".gitattributes": b"*.bin lfs",
        "weights/model.bin": dice.randbytes(100_000),
        "weights/large.bin": dice.randbytes(LARGEST + 1),
        "copy.json": b'{"a": 1}',
        "empty": b"",
    }


@pytest.fixture
def hub(make_origin, files, monkeypatch, tmp_path):
    """A hub on this machine, which speaks as huggingface_hub wants it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    origin = make_origin(b"")
    origin.files = {f"/{NAME}/resolve/{SHA}/{path}": data for path, data in files.items()}
    siblings = [
        {
            "rfilename": path,
            "size": len(data),
            "blobId": _git_id(data),
            **({"lfs": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data),
                        "pointerSize": 130}} if path.endswith(".bin") else {}),
        }
        for path, data in files.items()
    ]  # fmt: skip
    info = {"id": NAME, "sha": SHA, "siblings": siblings, "tags": [], "private": False}
    body = json.dumps(info).encode()

    def answer(handler, seen):
        path = seen.path.partition("?")[0]
        is_known = path in (f"/api/models/{NAME}/revision/{r}" for r in ("main", "v1", SHA))
        data = body if is_known else b'{"error": "none"}'
        more = {} if is_known else {"X-Error-Code": "RepoNotFound"}
        handler.start(
            200 if is_known else 404,
            {"Content-Type": "application/json", "Content-Length": str(len(data)), **more},
        )
        handler.wfile.write(data)
        return True

    origin.on(answer, None, lambda seen: seen.path.startswith("/api/"))
    endpoint = origin.url("")
    # What the library has read from its environment when it was imported.
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return origin
