"""What the benchmarks share: files to serve, a server, what they ran on, where results go."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ray

from raydl import __version__

# Where this is set, every start would compile all modules: an installation has that done.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

RESULTS = Path(__file__).parent / "results"
GIB = 1 << 30
KIB = 1 << 10
MIB = 1 << 20

Command = list[str]
Measured = Mapping[str, Sequence[float]]

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/error; worker_processes 2;
events {{ worker_connections 1024; }}
http {{
  log_format bytes $body_bytes_sent; access_log {log};
  sendfile on; tcp_nopush on; keepalive_requests 100000;
  server {{ listen {address}; root {folder}/www;
{capped}
  }}
{tls}
}}
"""

CAPS = ("200k", "1m", "5m", "20m")
"""nginx's ``limit_rate``: of each request, a second's worth comes at once, and then so much a
second. What is at /NAME comes with that cap at /5m/NAME."""

CAPPED = "    location /{cap}/ {{ alias {folder}/www/; limit_rate {cap}; }}"

TLS = """
  server {{ listen {address} ssl; root {folder}/www; ssl_protocols TLSv1.3;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
  }}
"""


def nginx_command(
    folder: Path, address: str, log: Path | None = None, tls: str | None = None
) -> Command:
    """The command that serves ``folder``/www at ``address`` (host:port), and with TLS at ``tls``.

    ``log`` gets a line for each request: the bytes of the file that were sent. The certificate,
    which signs itself, is ``folder``/cert.pem.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        sys.exit("nginx is not installed")
    config = folder / "nginx.conf"
    access_log = f"{log} bytes" if log else "off"
    if tls is not None:
        make_certificate(folder, tls.rpartition(":")[0])
    config.write_text(
        NGINX.format(
            folder=folder,
            address=address,
            log=access_log,
            capped="\n".join(CAPPED.format(folder=folder, cap=cap) for cap in CAPS),
            tls="" if tls is None else TLS.format(folder=folder, address=tls),
        )
    )
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [binary, "-c", str(config), "-e", str(folder / "error"), *user]


def make_certificate(folder: Path, host: str) -> None:
    """``folder``/cert.pem and key.pem, for an IP address."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30",
            "-subj", f"/CN={host}", "-addext", f"subjectAltName=IP:{host}",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def free_address() -> str:
    """A port of loopback that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def origin_command(folder: Path, address: str, *flags: str) -> Command:
    """The command that serves ``folder``/www with a delay or a cap."""
    script = Path(__file__).parent / "origin.py"
    return [sys.executable, str(script), str(folder / "www"), address, *flags]


RAY_NODES = """
import sys
from ray.cluster_utils import Cluster
node = {{"num_cpus": 1, "object_store_memory": {store}, "include_dashboard": False}}
cluster = Cluster(initialize_head=True, head_node_args=node)
for _ in range({count} - 1):
    cluster.add_node(wait=False, **node)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@contextlib.contextmanager
def ray_nodes(count: int, store: int, env: Mapping[str, str]) -> Iterator[str]:
    """The address of a cluster of ``count`` nodes on this machine, with stores of so many bytes."""
    process = subprocess.Popen(
        [sys.executable, "-c", RAY_NODES.format(count=count, store=store)],
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.communicate("\n")


def make_file(path: Path, size: int) -> str:
    """Random bytes, and their sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(0, size, 1 << 24):
            block = os.urandom(min(1 << 24, size - file.tell()))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def private_bytes(pid: int) -> int:
    """Private memory of a process, clean and dirty; 0 when it has ended."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return 0
    fields = [row.split() for row in rows]
    return 1024 * sum(int(field[1]) for field in fields if field[0].startswith("Private_"))


def machine() -> dict[str, object]:
    """What was measured on."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "ray": ray.__version__,
    }


def save(case: str, about: str, unit: str, measured: Measured) -> None:
    """Write a case's figures to benchmarks/results/."""
    RESULTS.mkdir(exist_ok=True)
    record = {
        "case": case,
        "about": about,
        "unit": unit,
        "raydl": __version__,
        "day": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "measured": {name: [round(v, 4) for v in values] for name, values in measured.items()},
    }
    (RESULTS / f"{case}.json").write_text(json.dumps(record, indent=1) + "\n")


def show(measured: Measured) -> None:
    """Print medians."""
    for what, values in measured.items():
        print(f"{what:<34} median {statistics.median(values):8.3f}  best {min(values):8.3f}  "
              f"worst {max(values):8.3f}", flush=True)  # fmt: skip
