"""A connection to a Ray cluster: made, asked for nodes and workers, and ended."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from raydl.address import Choice
from raydl.cluster.actors import Actor, shipped_by_value
from raydl.cluster.preflight import (
    accepts_no_token,
    check_head,
    require_client,
    sends_token,
    token_error,
)
from raydl.cluster.seam import import_ray, ray_module
from raydl.errors import ClusterError, RaydlError
from raydl.worker import NodeWorker

NAMESPACE = "raydl"


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


class _Connection:
    """The process's one connection to Ray, shared by all downloads that run in it."""

    lock = threading.RLock()
    users = 0
    address = ""


def connect(choice: Choice) -> Session:
    """Connect to the chosen cluster, or start a local one.

    Several downloads of one process share the connection; the last one ends it. Raises
    ClusterError, within about five seconds where the cluster cannot be used.
    """
    if choice.how == "client":
        require_client()
    with _Connection.lock:
        ray = import_ray()
        if ray.is_initialized():
            ours = _Connection.users > 0
            _check_same(choice, ray)
        else:
            if choice.how == "session":
                raise ClusterError("the Ray session of this process has ended", "ray.init() again")
            if choice.how == "cluster":
                check_head(choice.address)
            _init(ray, choice)
            ours, _Connection.users, _Connection.address = True, 0, choice.address
        if ours:
            _Connection.users += 1
        return Session(ray, choice, ours)


def _check_same(choice: Choice, ray: ModuleType) -> None:
    """Raise ClusterError when another cluster is meant than the one that is connected."""
    if choice.how not in ("cluster", "client"):
        return
    theirs = str(ray.get_runtime_context().gcs_address)
    if choice.address not in (theirs, _Connection.address):
        raise ClusterError(
            f"this process is connected to the Ray cluster at {theirs}, not to {choice.address}",
            "call ray.shutdown() first, or leave the address out",
        )


def _init(ray: ModuleType, choice: Choice) -> None:
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    try:
        if choice.how == "local":
            with _own_token():
                ray.init(address="local", include_dashboard=False, namespace=NAMESPACE, **quiet)
        else:
            ray.init(choice.address, namespace=NAMESPACE, **quiet)
    except Exception as error:
        raise _connect_error(choice, error) from None


@contextlib.contextmanager
def several_nodes(count: int) -> Iterator[Session]:
    """A cluster of ``count`` Ray nodes, all on this machine and out of the way of any other."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="raydl", ignore_cleanup_errors=True) as temp:
        os.environ["RAY_TMPDIR"] = temp
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        node = {"num_cpus": 1, "object_store_memory": 256 << 20, "include_dashboard": False}
        cluster = ray_module("cluster_utils").Cluster(initialize_head=True, head_node_args=node)
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
        with shipped_by_value(self._ray):
            handle = (
                self._ray.remote(NodeWorker)
                .options(
                    num_cpus=0,
                    max_concurrency=lanes + 1,  # one to answer while all lanes are busy
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
        if sends_token() and accepts_no_token(self.address):
            return ClusterError(
                f"the cluster at {self.address} has no token, and RAY_AUTH_MODE=token is set",
                "unset RAY_AUTH_MODE here, or start the cluster with it",
            )
        return None

    def close(self) -> None:
        """Disconnect, if this session made the connection."""
        if not self._ours:
            return
        self._ours = False
        with _Connection.lock:
            _Connection.users -= 1
            if _Connection.users == 0:
                with contextlib.suppress(Exception):
                    self._ray.shutdown()


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
        return token_error(where)
    return ClusterError(
        f"cannot use the Ray cluster {where}: {type(error).__name__}: {text[:160]}",
        "look at it with `ray status`",
    )
