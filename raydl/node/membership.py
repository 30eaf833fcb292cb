"""A worker of a cluster: this machine's node, for as long as it is to be one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from raydl.cluster import tokenstore
from raydl.cluster.address import (
    forget,
    how_to_start,
    is_here,
    left_by_ray_start,
    parse_address,
)
from raydl.cluster.head import check_listener
from raydl.cluster.preflight import HeadAnswer, examine
from raydl.model.errors import ClusterError, RaydlError
from raydl.node import monitor
from raydl.node.raynode import RayNode


class Membership:
    """This machine, a worker of a cluster until ``leave``.

    Whether the head is there is asked here: Ray's node needs a minute to notice that it is not, and
    never goes over to a head that was started again. Then a new node is started, with the token
    that was good before.
    """

    HEAD_SECONDS = 2.0
    REFUSED_SECONDS = 30.0
    """Between two looks at the head; at most, at one that listens and cannot be used."""

    def __init__(self, address: str, token: str | None, *, token_given: bool) -> None:
        self.address = address
        self.since = time.time()
        self.trouble = ""
        """Why it is no worker at the moment, though it tries."""
        self._token, self._token_given = token, token_given
        self._named_before = left_by_ray_start() == address
        self._monitor = monitor.make_monitor()
        self._lock = threading.Lock()
        self._has_left, self._has_ended = threading.Event(), False
        self._node: RayNode | None = None
        self._session = ""
        self._heard_at = time.monotonic()

    def enter(self, cancelled: Callable[[], bool]) -> None:
        """Become a worker. Raises ClusterError where that cannot be."""
        self._enter(self._ask(), cancelled)
        threading.Thread(target=self._watch, name="raydl-head", daemon=True).start()

    @property
    def node_address(self) -> str:
        """This machine's address in the cluster."""
        return self._node.address if self._node else ""

    @property
    def is_running(self) -> bool:
        """Whether it is a worker, or would be one again as soon as the head answers."""
        return not (self._has_left.is_set() or self._has_ended)

    @property
    def silence(self) -> float:
        """Seconds for which it has not been a worker that its head knows; 0 while it is."""
        seconds = time.monotonic() - self._heard_at
        return seconds if seconds > 3 * self.HEAD_SECONDS else 0.0

    @property
    def why_ended(self) -> str:
        """What is known of the end of its node, in a line."""
        return f"Ray said: {self._node.last_words}" if self._node else "it has left"

    def activity(self) -> monitor.Activity:
        """What its workers do."""
        return self._monitor.read() if self._monitor else monitor.Activity()

    def leave(self) -> None:
        """End the node that was started, and nothing else."""
        self._has_left.set()
        with self._lock:
            if self._node is not None:
                self._node.stop()
        if self._monitor:
            self._monitor.close()
        if not self._named_before and not is_here(parse_address(self.address)[0]):
            forget(self.address)

    def _watch(self) -> None:
        """Until it has left, or its node has ended beside a head that is as it was."""
        pause = self.HEAD_SECONDS
        while not self._has_left.wait(pause):
            longest = self.HEAD_SECONDS
            try:
                check_listener(*parse_address(self.address))
                longest = self.REFUSED_SECONDS  # asking takes a process: not too often
                self._look()
            except Exception as error:  # whatever it is, nobody else would try again
                self.trouble = _said(error)
                pause = min(2 * pause, longest)
                continue
            if self._has_ended:
                return
            self._heard_at, pause = time.monotonic(), self.HEAD_SECONDS

    def _look(self) -> None:
        """Whether all is as before, with a head that listens; make it so."""
        assert self._node is not None
        is_there = self._node.is_running
        if is_there and not self.trouble:
            return
        answer = self._ask()
        is_same = answer.session == self._session
        if is_same and not is_there and not self.trouble:
            self._has_ended = True
            return
        if not (is_same and is_there):
            self._node.stop()
            self._enter(answer, self._has_left.is_set)
        self.trouble = ""

    def _ask(self) -> HeadAnswer:
        return ask_cluster(self.address, self._token, token_given=self._token_given)

    def _enter(self, answer: HeadAnswer, cancelled: Callable[[], bool]) -> None:
        environment: dict[str, str | None] = {
            tokenstore.MODE_VARIABLE: "token" if answer.wants_token else "disabled",
            tokenstore.VARIABLE: self._token if answer.wants_token else None,
            monitor.VARIABLE: str(self._monitor.path) if self._monitor else None,
        }
        with self._lock:
            if self._has_left.is_set():
                raise ClusterError("not started: it has left")
            self._node = node = RayNode([f"--address={self.address}"], environment)
        node.wait_ready(cancelled)
        self._session, self.since, self._heard_at = answer.session, time.time(), time.monotonic()


def _said(error: Exception) -> str:
    if isinstance(error, RaydlError):
        return error.message
    return f"unexpected {type(error).__name__}: {error}"


def ask_cluster(address: str, token: str | None, *, token_given: bool = False) -> HeadAnswer:
    """What the head there says, where a worker can join it. Takes about 5 seconds at most.

    Raises ClusterError that says what is wrong: nothing listens, no or a wrong token, another
    version of Ray or Python; ``token_given`` makes a token that is not wanted an error too.
    """
    host, port = parse_address(address)
    check_listener(host, port, how_to_start(port))
    answer = examine(address, token)
    if not answer.check() and token_given:
        raise ClusterError(
            f"the cluster at {address} has no token, and one was given",
            "leave it out, or start the head with one: raydl coordinator",
        )
    return answer
