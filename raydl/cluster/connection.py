"""The process's one connection to Ray: made when a download needs it, kept for the next one."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from raydl.address import Choice, hold, session_id
from raydl.authtoken import MODE_VARIABLE, VARIABLE
from raydl.cluster.actors import Actor
from raydl.cluster.preflight import (
    check_head,
    drop_token,
    require_client,
    sends_token,
    token_error,
)
from raydl.cluster.seam import import_ray
from raydl.errors import ClusterError, RaydlError

NAMESPACE = "raydl"

WARM_SECONDS = 30.0
"""How long workers, and a connection that raydl made, stay after the last download."""


class Connection:
    """What all downloads of this process share. Its state is guarded by ``lock``.

    ``idle`` has the workers, by node, that rest until the next download. ``ours`` tells whether
    raydl made the connection and so may end it, and ``lost`` that its head is gone.
    """

    lock = threading.RLock()
    users = 0
    ours = lost = False
    choice: Choice | None = None
    identity = ""
    idle: dict[str, list[Actor]] = {}  # noqa: RUF012 - there is one connection a process
    timer: threading.Timer | None = None


def attach(choice: Choice) -> ModuleType:
    """Ray, connected to the chosen cluster, for one more user.

    Raises ClusterError, within about five seconds where the cluster cannot be used.
    """
    if choice.how == "client":
        require_client()
    with Connection.lock:
        _stop_timer()
        ray = import_ray()
        if Connection.ours and Connection.users == 0 and not _is_same(choice, ray):
            disconnect()
        if ray.is_initialized():
            _check_same(choice, ray)
        else:
            if choice.how == "session":
                raise ClusterError("the Ray session of this process has ended", "ray.init() again")
            try:
                if choice.how == "cluster":
                    check_head(choice.address)
                _init(ray, choice)
            except BaseException:
                drop_token()
                raise
            Connection.ours, Connection.users = True, 0
            Connection.choice = choice
            hold(_identity(ray))
        identity = _identity(ray)
        if identity != Connection.identity:  # the workers of a session that is over are, too
            Connection.identity, Connection.lost = identity, False
            Connection.idle.clear()
        Connection.users += 1
        return ray


def detach() -> None:
    """One user less; after the last one everything stays for a while."""
    with Connection.lock:
        Connection.users -= 1
        if Connection.users == 0 and Connection.lost:
            disconnect()
        elif Connection.users == 0:
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

    Downloads that run keep it.
    """
    with Connection.lock:
        if Connection.users:
            return
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
def _own_token() -> Iterator[None]:
    """A token for a Ray of our own, unless the user chose a mode.

    Without this, Ray would write one into the home directory, readable by all, and later
    `ray start` calls would demand it.
    """
    if MODE_VARIABLE in os.environ:
        yield
        return
    mine = {MODE_VARIABLE: "token", VARIABLE: secrets.token_hex(32)}
    before = os.environ.get(VARIABLE)
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)
        if before is not None:
            os.environ[VARIABLE] = before


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
        return token_error(where, sends_token())
    return ClusterError(
        f"cannot use the Ray cluster {where}: {type(error).__name__}: {text[:160]}",
        "look at it with `ray status`",
    )
