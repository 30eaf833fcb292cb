"""Modules run in other processes."""

import signal
import subprocess
import sys

from raydl.cluster.program import run_module


def test_it_is_what_python_m_does():
    done = subprocess.run(
        run_module("json.tool", "--compact"), input="[1,  2]", capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[1,2]"


def test_what_lies_in_the_working_directory_is_not_run(tmp_path):
    """A download may have any name."""
    for name in ("json", "ray", "argparse", "threading", "runpy"):
        (tmp_path / f"{name}.py").write_text("print('planted')\nraise SystemExit(3)\n")
    for command in (
        run_module("json.tool", "--help"),
        run_module("json.tool", "--help", tied=True),
        run_module("raydl.cluster.asker", "127.0.0.1:1"),
        run_module("ray.scripts.scripts", "--version"),
    ):
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=30,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "planted" not in done.stdout + done.stderr
        assert done.returncode in (0, -signal.SIGTERM), done.stderr


def test_one_that_is_tied_ends_with_who_started_it():
    command = run_module("timeit", "-n", "1", "-r", "1", "import time; time.sleep(60)", tied=True)
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        process.stdin.close()
        assert process.wait(20) == -signal.SIGTERM
    assert sys.executable == command[0]
