"""Ray: connect, nodes, actors, objects. The only module that imports ray, and only when used.

Ray's errors become ours here. Whatever this module starts it also ends; a session that the
process had before stays as it was.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from raydl.address import Choice
from raydl.errors import ClusterError, RaydlError
from raydl.models import Failure
from raydl.worker import NodeWorker

NAMESPACE = "raydl"
CHECK_SECONDS = 4.0

_export_lock = threading.Lock()


def _import_ray() -> ModuleType:
    """Import ray, quietly: what it prints on its own goes to standard output."""
    if "ray" in sys.modules:
        return sys.modules["ray"]
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # No line about an accelerator setting that will change in a later version.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray: ModuleType = importlib.import_module("ray")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


@dataclass(frozen=True)
class Node:
    """A node of the cluster. ``name`` is its address, made unique where nodes share one."""

    id: str
    name: str
    host: str
    is_driver: bool
    is_head: bool
    cpus: float
    object_store: int


class ActorLost(Exception):  # noqa: N818 - an outcome, handed to a callback
    """The actor will never answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def connect(choice: Choice) -> Session:
    """Connect to the chosen cluster, or start a local one.

    Raises ClusterError, within about five seconds where the cluster cannot be used.
    """
    if choice.how == "client":
        _require_client()
    ray = _import_ray()
    if choice.how == "session" or ray.is_initialized():
        return Session(ray, choice, ours=False)
    if choice.how == "cluster":
        _check_head(choice.address)
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    try:
        if choice.how == "local":
            with _own_token():
                ray.init(address="local", include_dashboard=False, namespace=NAMESPACE, **quiet)
        elif choice.how == "client":
            ray.init(choice.address, namespace=NAMESPACE)
        else:
            ray.init(choice.address, namespace=NAMESPACE, **quiet)
    except Exception as error:
        raise _connect_error(choice, error) from None
    return Session(ray, choice, ours=True)


@contextlib.contextmanager
def several_nodes(count: int) -> Iterator[Session]:
    """A cluster of ``count`` Ray nodes, all on this machine and out of the way of any other."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="raydl", ignore_cleanup_errors=True) as temp:
        os.environ["RAY_TMPDIR"] = temp
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        _import_ray()
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 256 << 20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            for _ in range(count - 1):
                cluster.add_node(wait=False, **node)
            cluster.wait_for_nodes()
            session = connect(Choice("cluster", cluster.address, True, ""))
            try:
                yield session
            finally:
                session.close()
        finally:
            cluster.shutdown()


class Session:
    """A connection to a cluster. ``ours`` tells whether closing it ends it."""

    def __init__(self, ray: ModuleType, choice: Choice, ours: bool) -> None:
        self._ray, self._ours = ray, ours
        self._is_client = choice.how == "client" or bool(ray.util.client.ray.is_connected())
        self.address = choice.address or str(ray.get_runtime_context().gcs_address)
        self._here = "" if self._is_client else ray.get_runtime_context().get_node_id()

    def nodes(self) -> list[Node]:
        """The nodes that are alive now."""
        alive = [n for n in self._ray.nodes() if n["Alive"]]
        addresses = [n["NodeManagerAddress"] for n in alive]
        nodes = []
        for entry in alive:
            address, resources = entry["NodeManagerAddress"], entry["Resources"]
            unique = addresses.count(address) == 1
            nodes.append(
                Node(
                    id=entry["NodeID"],
                    name=address if unique else f"{address}#{entry['NodeID'][:4]}",
                    host=entry["NodeManagerHostname"],
                    is_driver=entry["NodeID"] == self._here,
                    is_head="node:__internal_head__" in resources,
                    cpus=float(resources.get("CPU", 0)),
                    object_store=int(resources.get("object_store_memory", 0)),
                )
            )
        return nodes

    def start_worker(self, node: Node, source: dict[str, Any], lanes: int) -> Actor:
        """A worker on ``node`` that takes ``lanes`` tasks at once. Returns before it is ready."""
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        with _shipped_by_value(self._ray):
            handle = (
                self._ray.remote(NodeWorker)
                .options(
                    num_cpus=0,
                    max_concurrency=lanes,
                    max_restarts=0,
                    max_task_retries=0,
                    scheduling_strategy=affinity(node.id, soft=False),
                )
                .remote(source, self._is_client)
            )
        return Actor(self._ray, handle)

    def stillborn(self) -> ClusterError | None:
        """The error for workers that ended before they started, where the reason is known.

        A driver with a token connects to a cluster without one, and then no actor starts.
        """
        if _sends_token() and _accepts_no_token(self.address):
            return ClusterError(
                f"the cluster at {self.address} has no token, and RAY_AUTH_MODE=token is set",
                "unset RAY_AUTH_MODE here, or start the cluster with it",
            )
        return None

    def close(self) -> None:
        """Disconnect, if this session made the connection."""
        if self._ours:
            with contextlib.suppress(Exception):
                self._ray.shutdown()


class Actor:
    """A worker on a node, seen from the coordinator. Callbacks come on Ray's own thread."""

    def __init__(self, ray: ModuleType, handle: Any) -> None:
        self._ray, self._handle = ray, handle

    def when_ready(self, done: Callable[[str], None]) -> None:
        """Call ``done`` with an empty text once the actor has started, or with why it can't."""

        def answered(future: Any) -> None:
            error = future.exception()
            done("" if error is None else reason_of(error))

        self._handle.ready.remote().future().add_done_callback(answered)

    def fetch(
        self,
        start: int,
        stop: int,
        done: Callable[[tuple[int, float, Failure | None] | ActorLost, ObjectPayload], None],
    ) -> None:
        """Fetch ``[start, stop)``: ``done`` gets (bytes, seconds, failure) and the payload."""
        meta, data = self._handle.fetch.options(num_returns=2).remote(start, stop)
        payload = ObjectPayload(data)

        def answered(future: Any) -> None:
            error = future.exception()
            if error is not None:
                done(ActorLost(reason_of(error)), payload)
                return
            got, seconds, problem = future.result()
            done((got, seconds, Failure(*problem) if problem else None), payload)

        meta.future().add_done_callback(answered)

    def kill(self) -> None:
        """End the actor's process."""
        with contextlib.suppress(Exception):
            self._ray.kill(self._handle)


class ObjectPayload:
    """Bytes in a node's object store.

    ``pull`` brings them to this node's store; the view is on that shared memory, without a
    copy, and pins it until ``release``.
    """

    def __init__(self, ref: Any) -> None:
        self._ref = ref
        self._data: memoryview | None = None

    @property
    def here(self) -> bool:
        """Whether ``view`` answers at once."""
        return self._data is not None

    def pull(self, done: Callable[[str], None]) -> None:
        """Start to bring the bytes here; ``done`` gets an empty text, or why they are lost."""

        def answered(future: Any) -> None:
            error = future.exception()
            if error is None:
                self._data = memoryview(future.result())
            done("" if error is None else reason_of(error))

        self._ref.future().add_done_callback(answered)

    def view(self) -> memoryview:
        """The bytes; only once they are here."""
        if self._data is None:
            raise LookupError("the object has not been pulled")
        return self._data

    def release(self) -> None:
        """Let go of the object, here and on its node."""
        self._data = None
        self._ref = None


def reason_of(error: BaseException) -> str:
    """A few words on why an actor or object is lost, without Ray's pages of advice."""
    words = {
        "ActorDiedError": "its process ended",
        "ActorUnavailableError": "it does not answer",
        "ActorUnschedulableError": "its node has gone",
        "NodeDiedError": "its node died",
        "ObjectLostError": "its memory was lost",
        "OwnerDiedError": "its owner died",
        "OutOfMemoryError": "it ran out of memory",
        "RuntimeEnvSetupError": "its environment could not be set up",
    }
    for cls in type(error).__mro__:
        if cls.__name__ in words:
            return words[cls.__name__]
    cause = getattr(error, "cause", None)
    if isinstance(cause, ImportError):
        return f"it cannot import {cause.name or 'a module'}"
    return type(cause if isinstance(cause, BaseException) else error).__name__


@contextlib.contextmanager
def _shipped_by_value(ray: ModuleType) -> Iterator[None]:
    """Within it, classes of raydl are pickled whole, so that nodes need no raydl of their own."""
    package = sys.modules["raydl"]
    with _export_lock:
        ray.cloudpickle.register_pickle_by_value(package)
        try:
            yield
        finally:
            ray.cloudpickle.unregister_pickle_by_value(package)


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """A token for a Ray of our own, unless the user chose a mode.

    Without this, Ray would write one into the home directory, readable by all, and later
    `ray start` calls would demand it.
    """
    if "RAY_AUTH_MODE" in os.environ:
        yield
        return
    mine = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def _require_client() -> None:
    if importlib.util.find_spec("grpc") is None:
        raise ClusterError(
            "ray:// addresses need Ray's client, which is not installed",
            'pip install "ray[client]", or give the head as HOST:PORT',
        )


def _check_head(address: str) -> None:
    """Raise ClusterError for a token that is missing, wrong or not wanted, and other versions.

    Ray would try for 20 seconds, or connect and let the first actor die. The head's key-value
    store answers the same questions in milliseconds.
    """
    try:
        from ray._raylet import GcsClient
        from ray.exceptions import AuthenticationError
    except ImportError:
        return
    outcome: list[ClusterError | None] = []

    def ask() -> None:
        try:
            client = GcsClient(address=address)
            metadata = client.internal_kv_get(b"CLUSTER_METADATA", b"cluster", timeout=3)
            outcome.append(version_error(address, json.loads(metadata)) if metadata else None)
        except AuthenticationError:
            outcome.append(_token_error(address))
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


def _accepts_no_token(address: str) -> bool:
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


def _sends_token() -> bool:
    return os.environ.get("RAY_AUTH_MODE", "").lower() == "token"


def _token_error(address: str) -> ClusterError:
    if _sends_token():
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
    ray = _import_ray()
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
            f"use Python {theirs} here, for example in a virtual environment of its own",
        )
    return None


def _connect_error(choice: Choice, error: Exception) -> RaydlError:
    """What ray.init threw, in a line."""
    where = choice.address or "on this machine"
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return ClusterError(
            f"the Ray cluster {where} has another Ray or Python version",
            "install the same versions here as on the head",
        )
    if type(error).__name__ == "AuthenticationError":
        return _token_error(where)
    return ClusterError(
        f"cannot use the Ray cluster {where}: {type(error).__name__}: {text[:160]}",
        "look at it with `ray status`",
    )
