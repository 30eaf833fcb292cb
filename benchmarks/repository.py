"""A model repository in the hub's cache of every host, beside the same on the head alone.

    sudo python benchmarks/repository.py [--rounds 3] [--size MIB] [--save]

Four hosts at 200 Mbit/s each, as in fleet.py, and a repository of 40 files: eight large ones, two
of 9 MiB, thirty of 20 KiB. nginx has them as a hub does, with its API as files. Every run is new
processes, start included, with an empty cache in /data, which is on this machine's disk:

plain       raydl fetch hf://org/model: the head's cache, fetched by all hosts
every-node  raydl fetch hf://org/model --to every-node
again       the same once more: what is there is looked at

``sent`` is what the origin sent, in repositories, ``asked`` how often its API was. Every file of
every host is compared with its digest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import KIB, MIB, save, show
from fleet import EVEN, PORT, Figures, bench, note
from hosts import HEAD, ORIGIN, RAY_ADDRESS, Hosts, why_not

COMMIT = "c0" * 20
REPOSITORY = "org/model"
CACHE = "/data/hub"


class Repository:
    """It is in ``www``, as a hub would answer."""

    def __init__(self, www: Path, large: int) -> None:
        sizes = {f"model-{n:05}-of-00008.safetensors": large for n in range(1, 9)}
        sizes |= dict.fromkeys(("tokenizer.json", "merges.txt"), 9 * MIB)
        sizes |= {f"config/{n}.json": 20 * KIB for n in range(30)}
        self.size = sum(sizes.values())
        self.blobs: dict[str, str] = {}
        siblings = []
        for path, size in sizes.items():
            file = www / REPOSITORY / "resolve" / COMMIT / path
            file.parent.mkdir(parents=True, exist_ok=True)
            data = os.urandom(size)
            file.write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            git = hashlib.sha1(b"blob %d\0" % size + data).hexdigest()
            is_large = size > MIB
            self.blobs[path] = sha256 if is_large else git
            lfs = {"lfs": {"sha256": sha256, "size": size, "pointerSize": 130}}
            siblings.append(
                {"rfilename": path, "size": size, "blobId": git, **(lfs if is_large else {})}
            )
        info = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "private": False}
        answer = www / "api" / "models" / REPOSITORY / "revision" / "main"
        answer.parent.mkdir(parents=True)
        answer.write_text(json.dumps(info))

    def check(self, cache: Path) -> None:
        """All of it is there, under the names of its snapshot."""
        snapshot = cache / "models--org--model" / "snapshots" / COMMIT
        for path, blob in self.blobs.items():
            data = (snapshot / path).resolve()
            if data.name != blob or not _is(data, blob):
                sys.exit(f"{snapshot / path} is wrong")


def _is(file: Path, blob: str) -> bool:
    found = (
        hashlib.sha256() if len(blob) == 64 else hashlib.sha1(b"blob %d\0" % file.stat().st_size)
    )
    with file.open("rb") as stream:
        while data := stream.read(MIB):
            found.update(data)
    return found.hexdigest() == blob


def fetch(hosts: Hosts, *flags: str) -> float:
    """Seconds of a run on the head."""
    env = {
        **os.environ, **hosts.env, "RAY_ADDRESS": RAY_ADDRESS, "HF_HUB_CACHE": CACHE,
        "HF_ENDPOINT": f"http://{ORIGIN}:{PORT}", "HF_HUB_DISABLE_TELEMETRY": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "raydl", "fetch", f"hf://{REPOSITORY}", "--progress", "none"]
    os.sync()
    began = time.monotonic()
    done = subprocess.run(
        hosts.head.command([*command, *flags]), env=env, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        sys.exit(f"raydl exited with {done.returncode}")
    return time.monotonic() - began


def run(rounds: int, large: int) -> Figures:
    """4 hosts at 200 Mbit/s, a repository of 40 files."""
    figures: Figures = {}
    with bench(EVEN, 1) as fleet:
        repository = Repository(fleet.folder / "www", large)
        hosts = fleet.hosts
        every = {name: host.data / "hub" for name, host in hosts.hosts.items()}
        ways = {
            "plain": ([], [HEAD], True),
            "every-node": (["--to", "every-node"], list(every), False),
            "again": (["--to", "every-node"], list(every), True),
        }
        with fleet.origin():
            for _ in range(rounds):
                for way, (flags, names, is_last) in ways.items():
                    fleet.sent()
                    seconds = fetch(hosts, *flags)
                    sent = fleet.sent() / repository.size
                    for name in names:
                        repository.check(every[name])
                    note(figures, **{way: seconds, f"{way} sent": sent})
                    if is_last:
                        for cache in every.values():
                            shutil.rmtree(cache, ignore_errors=True)
    ratio = statistics.median(figures["every-node"]) / statistics.median(figures["plain"])
    print(f"  every-node: {ratio:.2f} times plain")
    return figures


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=4096, help="of the repository, in MiB")
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    if why := why_not():
        sys.exit(why)
    figures = run(args.rounds, (args.size - 18) // 8 * MIB)
    show(figures)
    if args.save:
        save("repository", run.__doc__ or "", "seconds", figures)


if __name__ == "__main__":
    main()
