"""Whether a head can be used, asked in milliseconds, where Ray would try for 20 seconds."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import threading
from typing import Any

from raydl.cluster.seam import import_ray, ray_module
from raydl.errors import ClusterError

CHECK_SECONDS = 4.0


def require_client() -> None:
    """Raise ClusterError unless this Ray can be a client."""
    if importlib.util.find_spec("grpc") is None:
        raise ClusterError(
            "ray:// addresses need Ray's client, which is not installed",
            'pip install "ray[client]", or give the head as HOST:PORT',
        )


def check_head(address: str) -> None:
    """Raise ClusterError for a token that is missing, wrong or not wanted, and other versions.

    Ray would try for 20 seconds, or connect and let the first actor die. The head's key-value
    store answers the same questions in milliseconds.
    """
    try:
        make_client = ray_module("_raylet").GcsClient
        refused = ray_module("exceptions").AuthenticationError
    except (ImportError, AttributeError):
        return
    outcome: list[ClusterError | None] = []

    def ask() -> None:
        try:
            client = make_client(address=address)
            metadata = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=3)
            outcome.append(version_error(address, json.loads(metadata)) if metadata else None)
        except refused:
            outcome.append(token_error(address))
        except Exception:
            outcome.append(None)

    thread = threading.Thread(target=ask, name="raydl-check", daemon=True)
    thread.start()
    thread.join(CHECK_SECONDS)
    if not outcome:
        raise ClusterError(
            f"the Ray head at {address} accepts connections but does not answer",
            "look at it with `ray status`, or start it again",
        )
    if outcome[0] is not None:
        raise outcome[0]


_ASK_WITHOUT_TOKEN = """
import sys
from ray._raylet import GcsClient
GcsClient(address=sys.argv[1])
"""


def accepts_no_token(address: str) -> bool:
    """Whether the head takes a client without a token.

    Asked by a process of its own: Ray reads the token once a process, and logs a refusal.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_WITHOUT_TOKEN, address],
            env={**os.environ, "RAY_AUTH_MODE": "disabled"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=CHECK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def sends_token() -> bool:
    """Whether Ray in this process authenticates itself."""
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def token_error(address: str) -> ClusterError:
    """The error for a head that turned this process away."""
    if sends_token():
        return ClusterError(
            f"the Ray cluster at {address} refuses this machine's token",
            "copy the head's ~/.ray/auth_token here, or point RAY_AUTH_TOKEN_PATH to it",
        )
    return ClusterError(
        f"the Ray cluster at {address} wants a token",
        "export RAY_AUTH_MODE=token, and have the head's token in ~/.ray/auth_token "
        "or in the file that RAY_AUTH_TOKEN_PATH names",
    )


def version_error(address: str, metadata: dict[str, Any]) -> ClusterError | None:
    """The error for a head with another Ray or Python than ours, or None.

    Ray demands the same Ray version and the same Python up to the patch level
    (ray._private.utils.check_version_info).
    """
    ray = import_ray()
    theirs, ours = metadata.get("ray_version"), ray.__version__
    if theirs is not None and theirs != ours:
        return ClusterError(
            f"the cluster at {address} runs Ray {theirs}, this machine has Ray {ours}",
            f'pip install "ray=={theirs}"',
        )
    theirs, ours = metadata.get("python_version"), platform.python_version()
    level = os.environ.get("RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL", "patch")
    digits = 2 if level == "minor" else 3
    if theirs is not None and theirs.split(".")[:digits] != ours.split(".")[:digits]:
        return ClusterError(
            f"the cluster at {address} runs Python {theirs}, this machine has Python {ours}",
            f"python{theirs.rpartition('.')[0]} -m venv .venv && .venv/bin/pip install raydl, "
            f"with a Python {theirs}",
        )
    return None
