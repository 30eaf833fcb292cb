"""Whether a head can be used, asked in milliseconds, where Ray would try for 20 seconds."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import threading
from dataclasses import dataclass
from typing import Any

from raydl.cluster.authentication import drop_token, sends_token, take_token
from raydl.cluster.importing import import_ray, ray_module
from raydl.cluster.program import run_module
from raydl.cluster.tokenstore import MODE_VARIABLE, VARIABLE, find_token, why_unused
from raydl.model.errors import ClusterError

CHECK_SECONDS = 3.5
"""For the head's answer. With Ray's import and the first knock it comes to five."""

IMPORT_SECONDS = 30.0
"""For a process to start that asks, on a machine that is busy."""


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
    store answers the same questions in milliseconds. A head that wants a token gets the one that
    this machine has, unless RAY_AUTH_MODE says otherwise.
    """
    drop_token()
    token = None if MODE_VARIABLE in os.environ else find_token()
    if token is not None:  # whether it is wanted takes another process to find out, in silence
        if examine(address, token).check():
            take_token()
        return
    error = refusal(address, ask_head(address), sends_token())
    if error is not None:
        raise error


@dataclass(frozen=True)
class HeadAnswer:
    """What a head said: whether it wants a token, and why this machine cannot use it, if so.

    ``session`` names the cluster: a head that is started again makes another one.
    """

    wants_token: bool
    error: ClusterError | None = None
    session: str = ""

    def check(self) -> bool:
        """Whether it wants a token; raises where it cannot be used."""
        if self.error is not None:
            raise self.error
        return self.wants_token


def examine(address: str, token: str | None) -> HeadAnswer:
    """Ask the head at ``address``, in a process of its own (``asker``), what it wants.

    ``token`` is what this machine has. Takes a second, five where the head does not answer.
    """
    environment = {**os.environ, MODE_VARIABLE: "disabled"}
    environment.pop(VARIABLE, None)
    if token is not None:
        environment[VARIABLE] = token
    try:
        done = subprocess.run(
            run_module("raydl.cluster.asker", address),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=IMPORT_SECONDS,
            check=False,
        )
        record = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        what = f"cannot ask the Ray head at {address}: this machine's Ray does not start"
        return HeadAnswer(
            False, ClusterError(f"{what} ({type(error).__name__})", "try `ray --version`")
        )
    message, hint = record["message"], record["hint"]
    problem = ClusterError(message, hint) if message else None
    return HeadAnswer(record["wants_token"], problem, record["session"])


def ask_head(address: str) -> str | dict[str, Any] | None:
    """What the head says of itself; ``refused``; an empty text where it cannot be asked; None
    where it does not answer."""
    try:
        make_client = ray_module("_raylet").GcsClient
        refused = ray_module("exceptions").AuthenticationError
    except (ImportError, AttributeError):
        return ""
    outcome: list[str | dict[str, Any]] = []

    def ask() -> None:
        try:
            client = make_client(address=address)
            metadata = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=3)
            session = client.internal_kv_get(b"session_name", b"session", timeout=3) or b""
            known = {**json.loads(metadata), "session": session.decode()} if metadata else ""
            outcome.append(known)
        except refused:
            outcome.append("refused")
        except Exception:
            outcome.append("")

    thread = threading.Thread(target=ask, name="raydl-check", daemon=True)
    thread.start()
    thread.join(CHECK_SECONDS)
    return outcome[0] if outcome else None


def refusal(
    address: str, answer: str | dict[str, Any] | None, has_token: bool
) -> ClusterError | None:
    """Why a head that gave that answer cannot be used; None where it can."""
    if answer is None:
        return ClusterError(
            f"the Ray head at {address} accepts connections but does not answer",
            "look at it with `ray status`, or start it again",
        )
    if answer == "refused":
        return token_error(address, has_token)
    return version_error(address, answer) if isinstance(answer, dict) else None


def accepts_no_token(address: str) -> bool:
    """Whether the head takes a client without a token."""
    answer = examine(address, None)
    return not answer.wants_token and answer.error is None


def token_error(address: str, has_token: bool) -> ClusterError:
    """The error for a head that turned this machine away."""
    where = "the head's ~/.ray/auth_token"
    if has_token:
        return ClusterError(
            f"the Ray cluster at {address} refuses this machine's token", f"it has to be {where}"
        )
    hint = why_unused() or f"copy {where} here, or point RAY_AUTH_TOKEN_PATH to a copy"
    if os.environ.get(MODE_VARIABLE, "").lower() == "disabled":
        hint += "; and unset RAY_AUTH_MODE"
    return ClusterError(f"the Ray cluster at {address} wants a token", hint)


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
            f"python{theirs.rpartition('.')[0]} -m venv .venv, with a Python {theirs}; "
            "then install raydl in it",
        )
    return None
