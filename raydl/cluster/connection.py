"""The process's one connection to Ray: made when a download needs it, kept for the next one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import ModuleType

from raydl.cluster.address import ClusterChoice, session_id
from raydl.cluster.authentication import drop_token
from raydl.cluster.importing import import_ray
from raydl.cluster.opening import open_connection
from raydl.cluster.preflight import check_head, require_client
from raydl.cluster.process import PROCESS
from raydl.model.errors import CancelledError, ClusterError

WARM_SECONDS = 30.0
"""How long workers, and a connection that raydl made, stay after the last download."""


def attach(choice: ClusterChoice, wanted: Callable[[], bool] = lambda: True) -> ModuleType:
    """Ray, connected to the chosen cluster, for one more user.

    ``wanted`` is asked right before Ray connects and once more when it has: what nobody wants any
    more is not made, or ended at once. Raises CancelledError then, and ClusterError, within about
    five seconds, where the cluster cannot be used.
    """
    if choice.how == "client":
        require_client()
    with PROCESS.lock:
        PROCESS.stop_waiting()
        try:
            ray = import_ray()
            if PROCESS.choice and PROCESS.users == 0 and not _is_same(choice, ray):
                _end()
            if ray.is_initialized():
                _check_same(choice, ray)
                _check_wanted(wanted)
                PROCESS.connected(_identity(ray))
            else:
                _make(choice, ray, wanted)
            PROCESS.users += 1
        finally:
            _stay_warm()
        return ray


def _make(choice: ClusterChoice, ray: ModuleType, wanted: Callable[[], bool]) -> None:
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
    PROCESS.made(choice, _identity(ray))
    try:
        _check_wanted(wanted)
    except CancelledError:
        _end()
        raise


def _check_wanted(wanted: Callable[[], bool]) -> None:
    if not wanted():
        raise CancelledError("the download ended before the cluster was there")


def detach(keep: bool) -> None:
    """One user less; after the last one everything stays for a while.

    Without ``keep`` a connection that raydl made goes at once, unless workers rest on it.
    """
    with PROCESS.lock:
        PROCESS.users -= 1
        if PROCESS.users == 0 and (PROCESS.is_lost or not (keep or PROCESS.has_idle)):
            _end()
        _stay_warm()


def _stay_warm() -> None:
    if PROCESS.users == 0 and (PROCESS.choice or PROCESS.has_idle):
        PROCESS.call_later(WARM_SECONDS, disconnect)


def give() -> None:
    """The connection is the user's from now on."""
    PROCESS.given()


def abandon() -> None:
    """The head is gone: after the last user nothing is kept, and nobody is asked for anything."""
    PROCESS.is_lost = True


def disconnect() -> None:
    """Release the cluster: end idle workers, and the connection if raydl made it.

    Waits for a connection that is being made, and closes it if its download has ended. Running
    downloads keep theirs; if there are none, ``ray.init()`` works afterwards.
    """
    with PROCESS.lock:
        if not PROCESS.users:
            _end()


def _end() -> None:
    PROCESS.stop_waiting()
    for actor in PROCESS.dismiss_idle():
        if not PROCESS.is_lost:
            actor.kill()
    if PROCESS.choice:
        ray = import_ray()
        is_kept = PROCESS.is_kept(_identity(ray))  # not one that the user made meanwhile
        PROCESS.given()
        if is_kept:
            with contextlib.suppress(Exception):
                ray.shutdown()
        drop_token()


def _identity(ray: ModuleType) -> str:
    """Names this process's connection to Ray; empty without one."""
    return session_id(ray) if ray.is_initialized() else ""


def _is_same(choice: ClusterChoice, ray: ModuleType) -> bool:
    """Whether the connection that raydl made is what ``choice`` means."""
    before = PROCESS.choice
    known = before is not None and (before.how, before.address) == (choice.how, choice.address)
    return known and PROCESS.is_kept(_identity(ray))


def _check_same(choice: ClusterChoice, ray: ModuleType) -> None:
    """Raise ClusterError when another cluster is meant than the one that is connected."""
    if choice.how not in ("cluster", "client"):
        return
    theirs = str(ray.get_runtime_context().gcs_address)
    made = PROCESS.choice.address if PROCESS.choice else theirs
    if choice.address not in (theirs, made):
        raise ClusterError(
            f"this process is connected to the Ray cluster at {theirs}, not to {choice.address}",
            "call ray.shutdown() first, or leave the address out",
        )
