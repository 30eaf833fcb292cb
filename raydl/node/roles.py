"""The two roles of a machine, as `ray start` makes them: head of a cluster, and worker of one.

A thin layer over Ray's own command: it checks first what Ray would take long to find out, takes
care of the token, and ends what it started.
"""

from __future__ import annotations

import errno
import os
import shlex
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from raydl.cluster import tokenstore
from raydl.cluster.address import (
    DEFAULT_PORT,
    forget,
    is_here,
    join_address,
    left_by_ray_start,
    own_addresses,
    parse_address,
)
from raydl.cluster.head import check_listener
from raydl.cluster.preflight import examine
from raydl.model.errors import ClusterError, RaydlError, UsageError
from raydl.node.membership import Membership
from raydl.node.raynode import ELSEWHERE, RayNode

__all__ = ["Head", "Membership", "find_head", "join", "require_free", "start_head"]

HEAD_ARGS = ["--include-dashboard=false"]

WORKER_PORTS = range(10002, 20000)
"""From these `ray start` gives each worker process one."""

Cancelled = Callable[[], bool]


def never() -> bool:
    """For a caller that cannot be cancelled."""
    return False


@dataclass
class Head:
    """A head on this machine. ``node`` is None where it ran already: then it is not ours to end.

    ``address`` is what workers give; ``has_token`` says whether they need the token, which is in
    ``token_file``. ``notes`` are lines for a person.
    """

    address: str
    has_token: bool
    node: RayNode | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def token_file(self) -> str | None:
        """Where the token is on this machine; None without one, or if it is in a variable."""
        in_file = self.has_token and not os.environ.get(tokenstore.VARIABLE)
        return str(tokenstore.token_file()) if in_file else None

    @property
    def raydl_command(self) -> str:
        """What a worker types, with raydl installed."""
        file = " --token-file FILE" if self.has_token else ""
        return f"raydl worker {shlex.quote(self.address)}{file}"

    @property
    def ray_command(self) -> str:
        """The same with Ray alone, the token being where Ray looks for it."""
        # Said either way: what Ray does by itself depends on the files that it finds.
        mode = "token" if self.has_token else "disabled"
        variables = {**ELSEWHERE, tokenstore.MODE_VARIABLE: mode}
        words = "".join(f"{name}={value} " for name, value in variables.items())
        return f"{words}ray start --address={shlex.quote(self.address)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data; not the token."""
        return {
            "address": self.address,
            "started": self.node is not None,
            "token_file": self.token_file,
            "worker": self.raydl_command,
            "ray": self.ray_command,
            "notes": self.notes,
        }

    def stop(self) -> None:
        """End it, if it is ours."""
        if self.node is not None:
            self.node.stop()
            forget(self.address)


def find_head() -> Head | None:
    """The head that `ray start --head` left running on this machine, or None.

    Raises ClusterError for one that cannot be used.
    """
    left = left_by_ray_start()
    if left is None:
        return None
    try:
        host, port = parse_address(left)
        if not is_here(host):  # a worker's machine has the address of its head there
            return None
        check_listener(host, port)
    except RaydlError:
        return None
    wants_token = examine(left, tokenstore.find_token()).check()
    open_to_all = "it has no token: anyone who reaches it can run code here"
    return Head(left, wants_token, None, [] if wants_token else [open_to_all])


def start_head(
    host: str | None = None,
    port: int = DEFAULT_PORT,
    *,
    auth: bool = True,
    cancelled: Cancelled = never,
) -> Head:
    """Start a head on this machine, with a token unless ``auth`` is false.

    ``host`` is the address that others reach it at; None lets Ray choose, which also takes an
    outside address where localhost is given. Raises UsageError where that host or port cannot be
    a head's, or it would be open to others without having been asked to; nothing has been started
    or written then. Raises ClusterError where it does not start.
    """
    mode = os.environ.get(tokenstore.MODE_VARIABLE, "").lower()
    if auth and mode == "disabled":
        raise UsageError(
            "RAY_AUTH_MODE=disabled would let anyone who reaches this machine run code on it",
            "unset it; or say --no-auth, in a network where you trust everyone",
        )
    if host is not None:
        require_own(host)
    require_free(port)
    notes: list[str] = []
    environment: dict[str, str | None] = {tokenstore.MODE_VARIABLE: "disabled"}
    if auth:
        environment = {tokenstore.MODE_VARIABLE: "token", tokenstore.VARIABLE: _own_token(notes)}
    else:
        notes.append("without a token: anyone who reaches this machine can run code on it")
    args = ["--head", f"--port={port}", *HEAD_ARGS]
    if host is not None:
        args.append(f"--node-ip-address={host}")
    node = RayNode(args, environment)
    try:
        node.wait_ready(cancelled)
        token = environment.get(tokenstore.VARIABLE)
        if token is not None:
            _require_enforced(_address_of(node, host, port), token)
    except BaseException:
        node.stop()
        forget(_address_of(node, host, port))
        raise
    if host is not None and node.address not in ("", host):
        notes.append(f"Ray listens on every address of this machine, not on {host} alone")
    return Head(_address_of(node, host, port), auth, node, notes)


def _require_enforced(address: str, token: str) -> None:
    """Raise ClusterError unless the head at ``address`` admits holders of the token, and only them.

    A Ray before 2.52 starts without a word, and never asks for it.
    """
    if not examine(address, token).check():
        raise ClusterError(
            "the head was ended again: it did not turn away a driver without the token",
            "install a Ray that asks for it: 2.53 or later",
        )


def _own_token(notes: list[str]) -> str:
    """The token for a head of this machine. Where it is, unless in a variable, is noted."""
    given = os.environ.get(tokenstore.VARIABLE, "").strip()
    if given:
        return given
    path = tokenstore.token_file()
    is_new = not path.exists()
    token = tokenstore.ensure_token()
    notes.append(f"the token is in {path}" + (", made just now" if is_new else ""))
    return token


def _address_of(node: RayNode, host: str | None, port: int) -> str:
    return join_address(node.address or host or "127.0.0.1", port)


def require_own(host: str) -> None:
    """Raise UsageError unless that is an address of this machine."""
    if not is_here(host):
        own = ", ".join(own_addresses())
        raise UsageError(
            f"{host} is no address of this machine",
            f"it has {own}; or leave --host out" if own else "leave --host out: Ray finds one",
        )


def require_free(port: int) -> None:
    """Raise UsageError unless a head can listen at that port of this machine."""
    if port in WORKER_PORTS:
        first, last = WORKER_PORTS[0], WORKER_PORTS[-1]
        raise UsageError(
            f"port {port} cannot be a head's",
            f"give one that is not from {first} to {last}, where Ray's workers take theirs",
        )
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise UsageError(
                f"port {port} of this machine cannot be used: {error.strerror}",
                "give another one: --port N",
            ) from None
        raise UsageError(
            f"port {port} of this machine is taken", "give another one: --port N, or end that"
        ) from None


def join(address: str, token: str | None = None, *, cancelled: Cancelled = never) -> Membership:
    """Make this machine a worker of the cluster at ``address``.

    ``token`` is what the user gave; else the machine's own is used where one is wanted. Raises
    UsageError for an address that is none, ClusterError where it cannot join.
    """
    try:
        address = join_address(*parse_address(address))
    except UsageError as error:
        hint = "write HOST or HOST:PORT, as the coordinator shows it"
        raise UsageError(error.message, hint) from None
    mine = token if token is not None else tokenstore.find_token()
    joined = Membership(address, mine, token_given=token is not None)
    try:
        joined.enter(cancelled)
    except BaseException:
        joined.leave()
        raise
    return joined
