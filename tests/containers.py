"""A process as it is in a container: the first of its own process namespace."""

import subprocess

import psutil
import pytest

PROCESS_1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""Before a command: that is process 1, and the child of what is started here."""


def _can_be_made() -> bool:
    try:
        return (
            subprocess.run([*PROCESS_1, "true"], capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


needs_namespaces = pytest.mark.skipif(
    not _can_be_made(), reason="namespaces cannot be made here: only by root, on Linux"
)


def signal_process_1(process: subprocess.Popen[str], number: int) -> None:
    """Send it what Kubernetes sends to a container."""
    (first,) = psutil.Process(process.pid).children()
    first.send_signal(number)
