"""Whether a head lives, by its socket: Ray's heads speak HTTP/2, and acknowledge SETTINGS."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time

from raydl.model.errors import ClusterError

CONNECT_SECONDS = 3.0

_SETTINGS, _PING, _GOAWAY, _ACK = 4, 6, 7, 1
"""Types of frames, and the one flag that counts (RFC 9113, section 6)."""

_LONGEST = 1 << 14
"""Bytes in a frame, unless the other side allows more."""

_ASK = bytes([0, 0, 0, _SETTINGS, 0, 0, 0, 0, 0])
_ANSWER = bytes([0, 0, 0, _SETTINGS, _ACK, 0, 0, 0, 0])
_PONG = bytes([0, 0, 8, _PING, _ACK, 0, 0, 0, 0])
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _ASK
"""The client's connection preface with an empty SETTINGS frame (RFC 9113, section 3.4)."""


class NotAHeadError(Exception):
    """What listens there does not greet with SETTINGS."""


def check_listener(host: str, port: int, start: str = "") -> None:
    """Raise ClusterError unless something that speaks HTTP/2, as Ray's head does, listens.

    ``start`` says how to start one. Ray itself tries a dead address for 20 seconds; this takes
    milliseconds.
    """
    try:
        _open(host, port).close()
    except (OSError, NotAHeadError) as error:
        raise _explain(host, port, error, start) from None


class HeadLink:
    """A connection to a head that stays open, for ``knock`` to see whether the head lives.

    Its networking answers even while what it does takes long. Under TLS nothing is said, and each
    knock is a new connection.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._link: socket.socket | None = None

    def knock(self) -> tuple[ClusterError | None, bool]:
        """Why the head gives no sign of life, None where it does; and whether it is just silent.

        A head that is silent may be busy, stopped or cut off; where none runs, connecting is
        refused. Takes ``CONNECT_SECONDS`` at most for an answer, and as long again to connect.
        """
        try:
            self._ask()
        except (OSError, NotAHeadError) as error:
            self.close()
            return _explain(self._host, self._port, error), isinstance(error, TimeoutError)
        return None, False

    def close(self) -> None:
        """Let go of the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def _ask(self) -> None:
        if _uses_tls():
            _open(self._host, self._port).close()
            return
        if self._link is not None:
            try:
                self._link.sendall(_ASK)  # not a PING: gRPC cuts off who sends many
                _await_answer(self._link)
                return
            except ConnectionError:  # the head may live on another one
                self.close()
        self._link = _open(self._host, self._port)
        self._link.sendall(_ANSWER)
        _await_answer(self._link)


def _open(host: str, port: int) -> socket.socket:
    """A connection on which both sides have greeted; under TLS, one on which nothing was said."""
    link = _connect(host, port)
    try:
        if not _uses_tls():
            link.sendall(_HELLO)
            _read_greeting(link)
    except BaseException:
        link.close()
        raise
    return link


def _read_greeting(link: socket.socket) -> None:
    try:
        kind, _, _ = _read_frame(link, time.monotonic() + CONNECT_SECONDS)
    except ConnectionError:
        raise NotAHeadError from None
    if kind != _SETTINGS:
        raise NotAHeadError


def _await_answer(link: socket.socket) -> None:
    """Read until SETTINGS is acknowledged; say what the head waits for meanwhile."""
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        kind, is_answer, payload = _read_frame(link, until)
        if kind == _SETTINGS and is_answer:
            return
        if kind == _SETTINGS:
            link.sendall(_ANSWER)
        elif kind == _PING and not is_answer:
            link.sendall(_PONG + payload)
        elif kind == _GOAWAY:
            raise ConnectionResetError("the head ends the connection")


def _uses_tls() -> bool:
    return os.environ.get("RAY_USE_TLS", "").lower() in ("1", "true")


def _explain(host: str, port: int, error: OSError | NotAHeadError, start: str = "") -> ClusterError:
    where = f"{host}:{port}"
    match error:
        case NotAHeadError():
            return ClusterError(
                f"what listens at {where} is no Ray head",
                "give the head's address, as `ray start --head` printed it; "
                "or it wants TLS: set RAY_USE_TLS=1 and its certificates",
            )
        case ConnectionRefusedError():
            return ClusterError(f"no Ray cluster at {where}: nothing listens there", start)
        case socket.gaierror():
            return ClusterError(
                f"no Ray cluster at {where}: the name {host} cannot be resolved",
                "give the head's address, as `ray start --head` printed it",
            )
        case TimeoutError():
            return ClusterError(
                f"no Ray cluster at {where}: no answer in {CONNECT_SECONDS:g}s",
                "check the address, that its name is found, and that no firewall is between",
            )
    return ClusterError(f"no Ray cluster at {where}: {error.strerror or error}", start)


def _connect(host: str, port: int) -> socket.socket:
    """A connection; TimeoutError where there is none in time, finding the name included."""
    outcome: queue.SimpleQueue[socket.socket | OSError] = queue.SimpleQueue()
    too_late = threading.Event()

    def connect() -> None:
        try:
            link = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            outcome.put(error)
            return
        outcome.put(link)
        if too_late.is_set():
            link.close()

    # Nothing else ends a look-up that a name server does not answer.
    threading.Thread(target=connect, name="raydl-connect", daemon=True).start()
    try:
        found = outcome.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        too_late.set()
        raise TimeoutError from None
    if isinstance(found, OSError):
        raise found
    return found


def _read_frame(link: socket.socket, until: float) -> tuple[int, bool, bytes]:
    """Type, ACK flag and payload of the next frame. NotAHeadError for one that is too long."""
    header = _receive(link, 9, until)
    length = int.from_bytes(header[:3], "big")
    if length > _LONGEST:
        raise NotAHeadError
    return header[3], bool(header[4] & _ACK), _receive(link, length, until)


def _receive(link: socket.socket, count: int, until: float) -> bytes:
    """``count`` bytes; TimeoutError or ConnectionError where they do not come."""
    answer = b""
    while len(answer) < count:
        link.settimeout(max(0.001, until - time.monotonic()))
        more = link.recv(count - len(answer))
        if not more:
            raise ConnectionResetError("the head closed the connection")
        answer += more
    return answer
