import subprocess
import sys

import pytest

STDOUT = """
import os, sys
from raydl.output.stdoutsink import StdoutSink
sink = StdoutSink(None)
sink.write(memoryview(b"file "), 0)
print("a stray line")
os.write(1, b"another")
os.system("echo child")
sys.stdout.flush()
sink.write(memoryview(b"bytes"), 5)
sink.finish()
sink.close()
print("!")
"""


@pytest.mark.parametrize("merged", [False, True])
def test_nothing_else_gets_to_standard_output(merged):
    done = subprocess.run(
        [sys.executable, "-c", STDOUT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        check=True,
        timeout=60,
    )
    assert done.stdout == b"file bytes!\n"
    if not merged:
        assert done.stderr.count(b"stray") == 1
