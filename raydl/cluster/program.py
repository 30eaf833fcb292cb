"""Commands that run a module of Python in another process."""

from __future__ import annotations

import sys

# Without the working directory, which `python -m` would look for modules in first: a download may
# well be called ray.py.
_RUN = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
{before}
import runpy
sys.argv[:] = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""

_TIED = """
import os, signal, threading
def watch():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
"""


def run_module(name: str, *args: str, tied: bool = False) -> list[str]:
    """The command that runs module ``name`` as `python -m` does.

    ``tied``: it gets SIGTERM as soon as its standard input ends, as a pipe does with the process
    that holds its other end.
    """
    return [sys.executable, "-c", _RUN.format(before=_TIED if tied else ""), name, *args]
