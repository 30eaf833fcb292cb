"""The process's one connection to Ray: made when a download needs it, kept for the next one."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from types import ModuleType

from raydl.cluster.actors import Actor
from raydl.cluster.address import Choice, hold, session_id
from raydl.cluster.authentication import drop_token
from raydl.cluster.importing import import_ray
from raydl.cluster.opening import open_connection
from raydl.cluster.preflight import check_head, require_client
from raydl.model.errors import CancelledError, ClusterError

WARM_SECONDS = 30.0
"""How long workers, and a connection that raydl made, stay after the last download."""


class Connection:
    """What all downloads of this process share. Its state is guarded by ``lock``.

    ``idle`` has the workers, by node, that rest until the next download. ``ours`` says whether
    raydl made the connection and so may end it, and ``lost`` whether its head is gone.
    """

    lock = threading.RLock()
    users = 0
    ours = lost = False
    choice: Choice | None = None
    identity = ""
    idle: dict[str, list[Actor]] = {}  # noqa: RUF012 - there is one connection a process
    timer: threading.Timer | None = None


def attach(choice: Choice, wanted: Callable[[], bool] = lambda: True) -> ModuleType:
    """Ray, connected to the chosen cluster, for one more user.

    ``wanted`` is asked right before Ray connects and once more when it has: what nobody wants any
    more is not made, or ended at once. Raises CancelledError then, and ClusterError, within about
    five seconds, where the cluster cannot be used.
    """
    if choice.how == "client":
        require_client()
    with Connection.lock:
        _stop_timer()
        try:
            ray = import_ray()
            if Connection.ours and Connection.users == 0 and not _is_same(choice, ray):
                _end()
            if ray.is_initialized():
                _check_same(choice, ray)
                _check_wanted(wanted)
                _recognise(ray)
            else:
                _make(choice, ray, wanted)
            Connection.users += 1
        finally:
            _stay_warm()
        return ray


def _make(choice: Choice, ray: ModuleType, wanted: Callable[[], bool]) -> None:
    if choice.how == "session":
        raise ClusterError("the Ray session of this process has ended", "ray.init() again")
    try:
        if choice.how == "cluster":
            check_head(choice.address)
        _check_wanted(wanted)
        open_connection(ray, choice)
    except BaseException:
        drop_token()
        raise
    Connection.ours, Connection.users, Connection.choice = True, 0, choice
    hold(_identity(ray))
    _recognise(ray)
    try:
        _check_wanted(wanted)
    except CancelledError:
        _end()
        raise


def _check_wanted(wanted: Callable[[], bool]) -> None:
    if not wanted():
        raise CancelledError("the download ended before the cluster was there")


def _recognise(ray: ModuleType) -> None:
    identity = _identity(ray)
    if identity != Connection.identity:  # the workers of a session that is over are, too
        Connection.identity, Connection.lost = identity, False
        Connection.idle.clear()


def detach(keep: bool) -> None:
    """One user less; after the last one everything stays for a while.

    Without ``keep`` a connection that raydl made goes at once, unless workers rest on it.
    """
    with Connection.lock:
        Connection.users -= 1
        if Connection.users == 0 and (Connection.lost or not (keep or Connection.idle)):
            _end()
        _stay_warm()


def _stay_warm() -> None:
    if Connection.users == 0 and (Connection.ours or Connection.idle):
        Connection.timer = threading.Timer(WARM_SECONDS, disconnect)
        Connection.timer.daemon = True
        Connection.timer.start()


def give() -> None:
    """The connection is the user's from now on."""
    with Connection.lock:
        Connection.ours = False
        hold("")


def abandon() -> None:
    """The head is gone: after the last user nothing is kept, and nobody is asked for anything."""
    with Connection.lock:
        Connection.lost = True


def disconnect() -> None:
    """Let go of the cluster: end idle workers, and the connection if raydl made it.

    A connection that is being made is waited for, and ended if its download is over. Downloads
    that run keep theirs; where there are none, ``ray.init()`` works afterwards.
    """
    with Connection.lock:
        if not Connection.users:
            _end()


def _end() -> None:
    _stop_timer()
    for actor in [actor for actors in Connection.idle.values() for actor in actors]:
        if not Connection.lost:
            actor.kill()
    Connection.idle.clear()
    if Connection.ours:
        Connection.ours = False
        hold("")
        ray = import_ray()
        if _identity(ray) == Connection.identity:  # not one that the user made meanwhile
            with contextlib.suppress(Exception):
                ray.shutdown()
        drop_token()


def _stop_timer() -> None:
    if Connection.timer is not None:
        Connection.timer.cancel()
        Connection.timer = None


def _identity(ray: ModuleType) -> str:
    """Names this process's connection to Ray; empty without one."""
    return session_id(ray) if ray.is_initialized() else ""


def _is_same(choice: Choice, ray: ModuleType) -> bool:
    """Whether the connection that raydl made is what ``choice`` means."""
    before = Connection.choice
    known = before is not None and (before.how, before.address) == (choice.how, choice.address)
    return known and _identity(ray) == Connection.identity


def _check_same(choice: Choice, ray: ModuleType) -> None:
    """Raise ClusterError when another cluster is meant than the one that is connected."""
    if choice.how not in ("cluster", "client"):
        return
    theirs = str(ray.get_runtime_context().gcs_address)
    made = Connection.choice.address if Connection.ours and Connection.choice else theirs
    if choice.address not in (theirs, made):
        raise ClusterError(
            f"this process is connected to the Ray cluster at {theirs}, not to {choice.address}",
            "call ray.shutdown() first, or leave the address out",
        )
