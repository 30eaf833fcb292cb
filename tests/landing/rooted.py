"""A worker whose node has a disk of its own, where all nodes are on one machine."""

import ray

from raydl.workers.worker import NodeWorker


class RootedWorker(NodeWorker):
    def disk(self, method, *args):
        if method == "open":
            key, spec = args
            node = ray.get_runtime_context().get_node_id()
            target = f"{spec['root']}/{node}{spec['target']}"
            args = key, {**spec, "target": target}
        return super().disk(method, *args)


def rooted(monkeypatch, root):
    """From now on workers have a disk for each node, in a folder of ``root``."""
    from raydl.landing import everynode
    from raydl.workers import supervisor

    make_spec = everynode.open_spec
    monkeypatch.setattr(supervisor, "NodeWorker", RootedWorker)
    monkeypatch.setattr(
        everynode,
        "open_spec",
        lambda *args, **rest: {**make_spec(*args, **rest), "root": str(root)},
    )
