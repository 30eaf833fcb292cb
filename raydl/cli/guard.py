"""A process that stands by while another one, which Ray may end, does the work.

Ray ends the process of a driver, by `_Exit` within its own code, as soon as that touches the object
store of a node that has gone. No exception, no signal and no setting is before that: what is to
outlive it has to be another process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Set

from raydl.cli.outcome import clear

_link: list[socket.socket] = []
"""In the process that does the work: to the one that stands by."""


def stand_by(*, starts_ray: bool) -> bool:
    """Let another process, a copy of this one, go on from here, and wait for its end.

    Returns False in that process, and where systems have no such thing. Here it returns True once
    that process was ended by what is in it; else this process ends as that one has. Signals go on
    to it, but for those that this process ignores, as SIGHUP under nohup. Only without other
    threads. ``starts_ray``: whether that process may start those of a Ray of its own.
    """
    if sys.platform != "linux":
        return False
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Where it is ignored, which exec hands down, no end of a child is ever reported.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    passed_on = {n for n in _PASSED_ON if signal.getsignal(n) is not signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, passed_on | {signal.SIGCHLD})
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _link.append(theirs)
        os.setpgid(0, 0)  # of what a terminal sends to all it gets one, from here
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        threading.Thread(target=_end_with, args=(theirs,), name="raydl-guard", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if not starts_ray:
            _keep_terminate_from_ray()
        return False
    theirs.close()
    status, was_asked = _wait(child, passed_on)
    with ours:
        told = ours.recv(2)
    if not (told or was_asked):
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return True
    code = told[1] if told[1:] else os.waitstatus_to_exitcode(status)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), -code)
        # Still here, as process 1 of a container, which no signal ends: the code of a shell.
        code = 128 - code
    os._exit(code)


def _keep_terminate_from_ray() -> None:
    """Have SIGTERM come another way: Ray's code would take it, and print a page of its own stack.

    It is blocked in all threads that there will be, and one waits for it. Processes would inherit
    that, those of Ray among them.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if not callable(handler):
        return
    main, other = threading.main_thread().ident, signal.Signals(signal.SIGRTMIN)
    assert main is not None
    signal.signal(other, lambda _, frame: handler(signal.SIGTERM, frame))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def wait() -> None:
        signal.sigwait({signal.SIGTERM})
        signal.pthread_kill(main, other)
        signal.sigwait({signal.SIGTERM})  # a second one means not to wait
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="raydl-terminate", daemon=True).start()


def ends_in_order(code: int | None = None) -> None:
    """What ends now is not Ray's doing, whatever the exit code; with ``code`` it is that one, even
    if Ray's code ends the process while it is shut down."""
    for link in _link:
        with contextlib.suppress(OSError):
            link.send(b"." if code is None else bytes((ord("."), code)))


_PASSED_ON = frozenset(
    getattr(signal, name)
    for name in (
        "SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGTSTP",
        "SIGCONT",
    )
    if hasattr(signal, name)
)  # fmt: skip
_ENDING = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"})
_UNKNOWN = 1 << 8
"""The status of a process that ended with exit code 1."""


def _wait(child: int, passed_on: Set[signal.Signals]) -> tuple[int, bool]:
    """How it ended, and whether it was asked to."""
    was_asked = False
    while True:
        number = signal.sigwait(passed_on | {signal.SIGCHLD})
        try:
            ended, status = os.waitpid(child, os.WNOHANG)
        except ChildProcessError:  # its status went elsewhere: nothing shows that it went well
            ended, status = child, _UNKNOWN
        if ended:
            return status, was_asked
        if number != signal.SIGCHLD:
            was_asked = was_asked or signal.Signals(number).name in _ENDING
            os.kill(child, number)
        if number == signal.SIGTSTP:
            with contextlib.suppress(OSError):
                print(
                    end=clear(), file=sys.stderr, flush=True
                )  # it is drawn anew when that goes on
            os.kill(os.getpid(), signal.SIGSTOP)


def _end_with(link: socket.socket) -> None:
    """End this process with the one that stands by, should that be killed."""
    link.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)
