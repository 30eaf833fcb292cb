"""Every destination once, by whoever calls it: a task, an actor, a driver, a job.

python -m tests.everywhere URL SMALL FOLDER BUCKET [ADDRESS]
"""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest

import raydl
from raydl.model.events import ClusterChosen
from tests.conftest import random_bytes
from tests.landing.rooted import NODE, rooted

COUNT = 20


def fetch_everywhere(
    url: str, small: str, folder: str, bucket: str, address: str = "auto"
) -> dict[str, list[str]]:
    """The file, and ``COUNT`` small ones below ``small``, to each kind of destination; this machine
    fetches nothing. Which nodes did what, and, as ``chosen``, how the clusters are called."""
    here, chosen = Path(folder), set()

    def listen(event: raydl.Event) -> None:
        if isinstance(event, ClusterChosen):
            chosen.add(event.note)

    options = {
        "address": address,
        "fetch_here": False,
        "progress": "none",
        "on_event": listen,
        "timeout": 100,
    }  # so long may a busy machine take to start workers
    items = [f"{small}/{number}" for number in range(COUNT)]
    done = {}
    with pytest.MonkeyPatch.context() as patch:
        rooted(patch, here / "disks")
        reports = {
            "file": raydl.fetch(url, here / "file", **options),
            "shared": raydl.fetch(url, here / "shared", to="shared", **options),
            "every-node": raydl.fetch(url, "/d/file", to="every-node", **options),
            "bucket": raydl.fetch(url, f"{bucket}/file", **options),
            "many": raydl.fetch_many(items, here / "many", **options),
            "many shared": raydl.fetch_many(items, here / "many-shared", to="shared", **options),
            "many every-node": raydl.fetch_many(
                items, here / "disks" / NODE / "many", to="every-node", **options
            ),
            "many bucket": raydl.fetch_many(items, f"{bucket}/many", **options),
        }
        raydl.disconnect()  # the workers that use those disks
    for name, report in reports.items():
        is_many = isinstance(report, raydl.ManyReport)
        done[name] = list(report.nodes) if is_many else [s.node for s in report.nodes if s.bytes]
    return {**done, "chosen": sorted(chosen)}


class Everywhere:
    """What is to be fetched, and where it is to be in the end."""

    def __init__(self, origin, folder, service):
        dice = random.Random(5)
        self.origin, self.folder, self.service = origin, folder, service
        origin.files = {"/file.bin": random_bytes(9_000_000)}
        self.small = {str(n): dice.randbytes(dice.randint(1, 9000)) for n in range(COUNT)}
        origin.files.update({f"/small/{name}": data for name, data in self.small.items()})
        url = origin.url("/file.bin?X-Amz-Signature=very-secret")
        folder.mkdir()
        place = f"s3://{service.bucket}/{folder.name}"
        self.args = [url, origin.url("/small"), str(folder), place]
        self.variables = {k: v for k, v in os.environ.items() if k.startswith("AWS_")}

    def check(self, done, copies):
        """Everything is everywhere, and this machine, which was not to, has fetched nothing."""
        large = self.origin.files["/file.bin"]
        assert (self.folder / "file").read_bytes() == large
        assert (self.folder / "shared").read_bytes() == large
        assert self.service.get(f"{self.folder.name}/file") == large
        disks = list((self.folder / "disks").iterdir())
        assert len(disks) == copies
        assert [(disk / "d" / "file").read_bytes() == large for disk in disks] == [True] * copies
        for directory in ("many", "many-shared", *(disk / "many" for disk in disks)):
            for name, data in self.small.items():
                assert (self.folder / directory / name).read_bytes() == data
        for name, data in self.small.items():
            assert self.service.get(f"{self.folder.name}/many/{name}") == data
        assert all(done.values()), done
        assert all("this machine" not in done[how] for how in ("file", "many", "bucket")), done


if __name__ == "__main__":
    print(json.dumps(fetch_everywhere(*sys.argv[1:])))
