"""A cluster, as a download uses it: its nodes, and workers on them."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple

from raydl.cluster.actors import CONTROL, DISK, DISK_THREADS, MOST_LANES, Actor, shipped_by_value
from raydl.cluster.address import ClusterChoice, parse_address
from raydl.cluster.authentication import sends_token
from raydl.cluster.connection import abandon, attach, detach, disconnect, give
from raydl.cluster.head import HeadLink
from raydl.cluster.importing import ray_module
from raydl.cluster.preflight import accepts_no_token
from raydl.cluster.process import PROCESS
from raydl.cluster.questions import Questions
from raydl.cluster.tokenstore import MODE_VARIABLE, VARIABLE
from raydl.model.errors import ClusterError
from raydl.model.units import format_size


@dataclass(frozen=True)
class Node:
    """A node of the cluster. ``name`` is its address, made unique if nodes share one."""

    id: str
    name: str
    host: str
    is_driver: bool
    is_head: bool
    cpus: float
    object_store: int
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        roles = [r for r, is_so in (("head", self.is_head), ("driver", self.is_driver)) if is_so]
        store = f"{format_size(self.object_store)} of object store"
        return ", ".join([self.name, *roles, f"{self.cpus:g} CPUs", store])


class Whereabouts(NamedTuple):
    """Where a node hears the others, and where its Ray keeps files."""

    host: str
    ports: tuple[int, ...]
    directory: str


def connect(choice: ClusterChoice, wanted: Callable[[], bool] = lambda: True) -> Session:
    """Connect to the chosen cluster, or start a local one.

    Several downloads of one process share the connection, which stays for a while after the
    last one. Raises ClusterError, within about five seconds where the cluster cannot be used, and
    CancelledError where ``wanted`` says, before or after Ray connects, that nobody needs it now.
    """
    return Session(attach(choice, wanted), choice)


class Session:
    """A cluster, for one download: its nodes, and workers on them."""

    def __init__(self, ray: ModuleType, choice: ClusterChoice) -> None:
        self._ray = ray
        self._is_open = True
        self._names: dict[str, str] = {}
        """By a node's id, what it was called first: it stays, whoever else comes or goes."""
        self._actor_class: Any = None
        self._is_client = choice.how == "client" or bool(ray.util.client.ray.is_connected())
        self.address = choice.address or str(ray.get_runtime_context().gcs_address)
        self._gcs = "" if self._is_client else str(ray.get_runtime_context().gcs_address)
        self._here = "" if self._is_client else ray.get_runtime_context().get_node_id()

    def nodes(self) -> list[Node]:
        """The nodes that are alive now."""
        alive = [n for n in self._ray.nodes() if n["Alive"]]
        sharing = Counter(n["NodeManagerAddress"] for n in alive)
        nodes = []
        for entry in alive:
            address, resources = entry["NodeManagerAddress"], entry["Resources"]
            name = address if sharing[address] == 1 else f"{address}#{entry['NodeID'][:4]}"
            nodes.append(
                Node(
                    id=entry["NodeID"],
                    name=self._names.setdefault(entry["NodeID"], name),
                    host=entry["NodeManagerHostname"],
                    is_driver=entry["NodeID"] == self._here,
                    is_head="node:__internal_head__" in resources,
                    cpus=float(resources.get("CPU", 0)),
                    object_store=int(resources.get("object_store_memory", 0)),
                    labels=dict(entry.get("Labels") or {}),
                )
            )
        return nodes

    def whereabouts(self) -> dict[str, Whereabouts]:
        """By its id, of each node that is alive now."""
        return {
            n["NodeID"]: Whereabouts(
                n["NodeManagerAddress"],
                (n["NodeManagerPort"], n["ObjectManagerPort"]),
                # …/SESSION/sockets/plasma_store, below the directory for all sessions.
                str(PurePosixPath(n["ObjectStoreSocketName"]).parent.parent.parent),
            )
            for n in self._ray.nodes()
            if n["Alive"]
        }

    def question(self, nodes: Iterable[Node], kind: type) -> Questions:
        """Actors of that class, one on each of these nodes, to be asked and then closed."""
        return Questions(self._ray, [node.id for node in nodes], kind)

    @property
    def is_inside(self) -> bool:
        """Whether this process is at a node, and not at a client of one."""
        return not self._is_client

    def head(self) -> HeadLink | None:
        """What shows whether the head lives; None where that cannot be asked.

        To be asked beside ``nodes`` and its like, which wait for the head for ever.
        """
        return None if self._is_client else HeadLink(*parse_address(self._gcs))

    def abandon(self) -> None:
        """The head is gone: whatever would ask it is left undone."""
        abandon()

    def hire(self, node: Node, worker: type) -> tuple[Actor, bool]:
        """An actor of class ``worker`` on ``node``, and whether it has worked before.

        A new one is not ready yet.
        """
        idle = PROCESS.wake(node.id)
        if idle is not None:
            return idle, True
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        with shipped_by_value(self._ray):
            if self._actor_class is None:  # pickled once, for all nodes
                # Ray's client refuses groups: there, some more threads serve all alike.
                threads: dict[str, Any] = {"max_concurrency": MOST_LANES + 2 + DISK_THREADS}
                if not self._is_client:
                    threads["concurrency_groups"] = {CONTROL: 2, DISK: DISK_THREADS}
                self._actor_class = self._ray.remote(
                    num_cpus=0, max_restarts=0, max_task_retries=0, **threads
                )(worker)
            options = {"scheduling_strategy": affinity(node.id, soft=False)}
            titles = PROCESS.titles
            name = titles.worker(node.name)
            handle = self._actor_class.options(name=name, **options).remote(self._is_client)
        return Actor(self._ray, handle, titles, grouped=not self._is_client), False

    def dismiss(self, node: Node, actor: Actor) -> None:
        """Give back a worker that is not needed any more; the next download may want it."""
        actor.rest()
        PROCESS.rest(node.id, actor)

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

    def give(self) -> None:
        """Leave the connection to this process: from now on it is not raydl's to end."""
        give()

    def close(self, keep: bool = True) -> None:
        """Let go; the connection stays for a while, or only for workers that rest."""
        if self._is_open:
            self._is_open = False
            detach(keep)


@contextlib.contextmanager
def several_nodes(count: int) -> Iterator[Session]:
    """A cluster of ``count`` Ray nodes, all on this machine and out of the way of any other."""
    import tempfile

    with (
        tempfile.TemporaryDirectory(prefix="raydl", ignore_cleanup_errors=True) as temp,
        contextlib.ExitStack() as opened,
    ):
        token = {MODE_VARIABLE: "token", VARIABLE: secrets.token_hex(32)}
        own = {name: value for name, value in token.items() if name not in os.environ}
        opened.enter_context(PROCESS.variables(RAY_TMPDIR=temp, **own))
        node = {"num_cpus": 1, "object_store_memory": 256 << 20, "include_dashboard": False}
        cluster = ray_module("cluster_utils").Cluster(initialize_head=True, head_node_args=node)
        try:
            for _ in range(count - 1):
                cluster.add_node(wait=False, **node)
            cluster.wait_for_nodes()
            session = connect(ClusterChoice("cluster", cluster.address, ""))
            try:
                yield session
            finally:
                session.close()
                disconnect()
        finally:
            cluster.shutdown()
