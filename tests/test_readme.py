"""The README: its exit codes are those of the errors, its commands do start a cluster."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from raydl.model.errors import exit_codes
from tests.conftest import run_raydl
from tests.rayhome import free_port

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_exit_codes():
    table = README.split("## Exit codes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", table, re.M)
    assert {int(code): meaning for code, meaning in rows} == exit_codes()


@pytest.fixture
def home(home):
    yield home
    for process in psutil.process_iter():  # that `ray start` left
        try:
            if process.environ().get("RAY_TMPDIR") == str(home):
                process.kill()
        except psutil.Error:
            continue


@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "old_token",
    [
        pytest.param("none", marks=pytest.mark.patient),
        pytest.param("the head's", marks=pytest.mark.patient),
        pytest.param("a worker's", marks=pytest.mark.slow),
    ],
)
def test_three_machines(home, tmp_path, origin, old_token):
    """Whatever token there was before. The first machine and another, with a home each."""
    first, other = home / "first", home / "other"
    for where in (first, other):
        where.mkdir()
    if old_token != "none":
        old = (first if "head" in old_token else other) / ".ray" / "auth_token"
        old.parent.mkdir()
        old.write_text("ab" * 32)
    text = README.split("Three machines")[1].split("Ray's ports")[0]
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    port = str(free_port())
    for where, block in zip((first, other), blocks, strict=False):
        commands = re.sub(r"^pip install .*$", "", block, flags=re.M)
        commands = commands.replace("scp -p FIRST:", f"cp -p {first}/")
        commands = commands.replace("FIRST:6379", f"127.0.0.1:{port}")
        commands = commands.replace("--port=6379", f"--port={port} --include-dashboard=false")
        subprocess.run(
            ["bash", "-ec", commands],
            env={
                **os.environ,
                "HOME": str(where),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=60,
        )  # fmt: skip
    listed = run_raydl("nodes", "--json", cwd=tmp_path, env={"HOME": str(first)})
    assert len(json.loads(listed.stdout)) == 2, listed.stderr
    fetch = blocks[2].split("raydl ")[-1].replace("https://example.org/big.iso", origin.url())
    options = ["--no-fetch-here", "--json", "--timeout", "60s"]
    done = run_raydl(*fetch.split(), *options, cwd=tmp_path, env={"HOME": str(first)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file.bin").read_bytes() == origin.data
    (share,) = (share for share in json.loads(done.stdout)["nodes"] if share["bytes"])
    assert share["node"] != "this machine"
