"""What a person reads of the two roles; tests/test_roles.py runs them."""

import os
import pty
import subprocess
import sys

from raydl.cli.console import changed, describe, tell
from raydl.node.monitor import Activity
from raydl.node.roles import Head
from tests.conftest import run_raydl


class Joined:
    since, trouble = 0.0, ""

    def __init__(self, activity):
        self._activity = activity

    def activity(self):
        return self._activity


def test_how_a_worker_fares(monkeypatch):
    monkeypatch.setattr("raydl.cli.console.time.time", lambda: 200.0)
    assert describe(Joined(Activity())) == "connected for 3m20s, 0 B delivered, idle"
    new = Joined(Activity())
    for since, shown in ((199.999, "0s"), (198.4, "1s"), (195.0, "5s")):
        new.since = since
        assert describe(new) == f"connected for {shown}, 0 B delivered, idle"
    busy = describe(Joined(Activity(lanes=8, received=3 << 30, speed=2 << 20)))
    assert busy == "connected for 3m20s, 3 GiB delivered, 8 connections at 2 MiB/s"
    lonely = Joined(Activity(lanes=8))
    lonely.trouble = "no Ray cluster at h:1: nothing listens there"
    assert describe(lonely) == (
        "not connected: no Ray cluster at h:1: nothing listens there; it tries again"
    )


def test_a_worker_that_loses_its_coordinator_and_has_it_again():
    joined = Joined(Activity())
    joined.address, joined.trouble = "h:1", "nothing listens there"
    assert changed(joined) == "lost the coordinator: nothing listens there; it tries again"
    joined.trouble = ""
    assert changed(joined) == "joined h:1 again"


def test_what_workers_type(capsys):
    tell(Head("10.0.0.1:6379", True, None, ["a note"]))
    told = capsys.readouterr().out
    assert "a Ray head is running here: 10.0.0.1:6379\na note\n" in told
    assert "\n    RAY_AUTH_MODE=token ray start --address=10.0.0.1:6379\n" in told
    assert "\n    raydl worker 10.0.0.1:6379 --token-file FILE " in told
    assert "auth_token there" in told
    assert "Ctrl-C" not in told  # it is not ours to end
    tell(Head("10.0.0.1:6379", False))
    told = capsys.readouterr().out
    assert "token" not in told
    assert "\n    RAY_AUTH_MODE=disabled ray start --address=10.0.0.1:6379\n" in told


SHOWS = """
from raydl.cli.console import Show
show = Show()
show("one")
show.say("said")
show("two")
show.close()
print("end")
"""


def test_one_line_that_changes_in_a_terminal_and_few_lines_elsewhere(tmp_path):
    command = [sys.executable, "-c", SHOWS]
    plain = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert plain == "one\nsaid\nend\n"
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"end\r\n" not in seen:
            seen += os.read(ours, 1000)
        assert process.wait(10) == 0
    os.close(ours)
    assert seen == b"\rone\x1b[K\rsaid\x1b[K\r\n\rtwo\x1b[K\rtwo\x1b[K\r\nend\r\n"


def test_wrong_input(tmp_path):
    for args, message in (
        (["worker", "a b"], "is no Ray address"),
        (["worker", "127.0.0.1:1", "--token-file", "nowhere"], "cannot read the token"),
        (["coordinator", "--port", "0"], "--port"),
        (["gui", "--role", "king"], "is no role"),
        (["tls", "there", "no/host"], "is no host"),
    ):
        done = run_raydl(*args, cwd=tmp_path)
        assert done.returncode == 2, args
        assert message in done.stderr, args
        assert "Traceback" not in done.stderr
