"""The two roles in a terminal: `raydl coordinator` and `raydl worker`."""

from __future__ import annotations

import json
import shutil
import sys
import time

from raydl.cli.outcome import clear
from raydl.cluster.address import DEFAULT_PORT
from raydl.model.errors import ClusterError
from raydl.model.units import counted, format_age, format_size
from raydl.node.attendance import Attendance
from raydl.node.roles import Head, Membership, find_head, join, start_head

STATUS_SECONDS = 1.0
PLAIN_SECONDS = 10.0
"""Between two lines where there is no terminal."""


def coordinate(host: str | None, port: int, *, auth: bool, as_json: bool) -> None:
    """Find the head of this machine, or start one and keep it until Ctrl-C."""
    head = find_head()
    if head is not None and (host or port != DEFAULT_PORT or not auth):
        head.notes.append("it was running already: --host, --port and --no-auth change nothing")
    if head is None:
        say(f"starting a Ray head at port {port} …", as_json)
        head = start_head(host, port, auth=auth)
    try:
        if as_json:
            print(json.dumps(head.to_dict()), flush=True)
        else:
            tell(head)
        if head.node is not None:
            _watch(head, quiet=as_json)
            raise ClusterError(f"the Ray head has ended: {head.node.last_words}")
    except KeyboardInterrupt:
        say("ending the Ray head …", as_json)
    finally:
        head.stop()


def _watch(head: Head, *, quiet: bool) -> None:
    """Say who joins and who leaves, for as long as the head runs."""
    attendance = None if quiet else Attendance(head.address, has_token=head.has_token)
    try:
        while head.node is not None and head.node.is_running:
            for line in attendance.news() if attendance else ():
                print(stamped(line), flush=True)
            time.sleep(STATUS_SECONDS)
    finally:
        if attendance is not None:
            attendance.close()


def stamped(line: str) -> str:
    """The line, and when that was."""
    return f"{time.strftime('%H:%M:%S')}  {line}"


def tell(head: Head) -> None:
    """Print what workers type."""
    print(f"a Ray head is running here: {head.address}")
    for note in head.notes:
        print(note)
    print("\non each worker machine, with the same Python and Ray:\n")
    print(f"    {head.ray_command}")
    print(f"    {head.raydl_command}      # the same, with a status line\n")
    if head.has_token:
        print(f"after you have copied {head.token_file or 'the token in RAY_AUTH_TOKEN'} there")
        print("(to the same place for `ray start`; to any FILE for `raydl worker`)\n")
    print("then here:\n\n    raydl nodes\n    raydl fetch URL\n")
    if head.node is not None:
        print("Ctrl-C ends the head. Who joins and who leaves:\n", flush=True)


def work(address: str, token: str | None, *, as_json: bool) -> None:
    """Join the cluster at ``address``; show how it goes until Ctrl-C, then leave."""
    say(f"joining {address} …", as_json)
    joined = join(address, token)
    show = Show()
    try:
        if as_json:
            record = {"coordinator": joined.address, "node": joined.node_address}
            print(json.dumps(record), flush=True)
        else:
            print(f"joined {joined.address} as {joined.node_address}; Ctrl-C leaves", flush=True)
        was_lost = False
        while joined.is_running:
            if not as_json:
                if was_lost != bool(joined.trouble):
                    was_lost = not was_lost
                    show.say(stamped(changed(joined)))
                show(describe(joined))
            time.sleep(STATUS_SECONDS)
        raise ClusterError(
            f"this machine is no worker of {joined.address} any more: {joined.why_ended}",
            "the same command joins again",
        )
    except KeyboardInterrupt:
        show.close()
        say("leaving …", as_json)
    finally:
        show.close()
        joined.leave()


def changed(joined: Membership) -> str:
    """What there is to say when it loses its coordinator, or has it again."""
    if joined.trouble:
        return f"lost the coordinator: {joined.trouble}; it tries again"
    return f"joined {joined.address} again"


def describe(joined: Membership) -> str:
    """How a worker fares, in a line."""
    activity = joined.activity()
    line = f"connected for {format_age(time.time() - joined.since)}"
    line += f", {format_size(activity.received)} delivered"
    if joined.trouble:
        return f"not connected: {joined.trouble}; it tries again"
    if activity.lanes:
        return f"{line}, {counted(activity.lanes, 'connection')} at {format_size(activity.speed)}/s"
    return f"{line}, idle"


def say(line: str, quiet: bool) -> None:
    """For people: on standard error, unless a program reads along."""
    if not quiet:
        print(f"{clear()}{line}", file=sys.stderr, flush=True)


class Show:
    """One line that changes, in a terminal; elsewhere a line now and then, if it has changed."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._said, self._said_at = "", 0.0

    def __call__(self, line: str) -> None:
        """Show that line now."""
        if self._is_terminal:
            # What does not fit would stay, line after line.
            line = line[: shutil.get_terminal_size().columns - 1]
            print(f"\r{line}\x1b[K", end="", flush=True)
        elif time.monotonic() - self._said_at >= PLAIN_SECONDS:
            print(line, flush=True)
            self._said_at = time.monotonic()
        self._said = line

    def say(self, line: str) -> None:
        """Show a line that stays."""
        print(f"\r{line}\x1b[K" if self._is_terminal else line, flush=True)
        self._said = ""

    def close(self) -> None:
        """The next line begins on a line of its own; of a ^C in this one nothing is left."""
        if self._is_terminal and self._said:
            print(f"\r{self._said}\x1b[K", flush=True)
        self._said = ""
