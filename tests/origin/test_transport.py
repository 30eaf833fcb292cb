"""Keys and certificates as files, for libraries that take nothing else."""

import os
import subprocess
import sys

import pytest

from raydl.origin.transport import as_file


@pytest.fixture(params=["in memory", "in a directory"])
def anywhere(request, monkeypatch):
    if request.param == "in a directory":
        monkeypatch.delattr(os, "memfd_create", raising=False)


def test_it_can_be_read_as_often_as_one_likes(anywhere):
    with as_file("KEY") as name:
        for _ in range(2):
            with open(name) as file:
                assert file.read() == "KEY"
    assert not os.path.exists(name)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="a file it is, then")
def test_a_process_that_is_killed_leaves_no_key_behind(tmp_path):
    code = """
import sys
from raydl.origin.transport import as_file
with as_file("KEY") as name:
    print(open(name).read(), flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"KEY\n"
        process.kill()
    assert not list(tmp_path.iterdir())
