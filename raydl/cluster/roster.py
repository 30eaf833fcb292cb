"""The program that says who is in a cluster: a JSON line at first, and after each change.

A process of its own, for Ray reads mode and token once a process and logs refusals to the
terminal. It asks the head as ``ray status`` does and joins nothing, so no download sees it. Each
line is an object: by the id of a node that is alive its address, its host's name, and whether it
is the head.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from raydl.cluster.importing import ray_module

LOOK_SECONDS = 1.0

ALIVE = 0
"""``GcsNodeInfo.GcsNodeState`` in Ray's gcs.proto."""


def main() -> None:
    """Ask the head at the address that is the only argument, until this process is ended."""
    client = ray_module("_raylet").GcsClient(address=sys.argv[1])
    shown = None
    while True:
        try:
            found = client.get_all_node_info(timeout=3)
        except Exception:  # the head is busy, or gone: who started this one knows
            found = None
        if found is not None and (nodes := _alive(found)) != shown:
            shown = nodes
            print(json.dumps(nodes), flush=True)
        time.sleep(LOOK_SECONDS)


def _alive(found: dict[Any, Any]) -> dict[str, tuple[str, str, bool]]:
    return {
        key.hex(): (node.node_manager_address, node.node_manager_hostname, node.is_head_node)
        for key, node in found.items()
        if node.state == ALIVE
    }


if __name__ == "__main__":
    main()
