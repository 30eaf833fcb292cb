"""A worker whose node has a disk of its own, where all nodes are on one machine."""

import ray

from raydl.workers.worker import NodeWorker

NODE = "@node"
"""In the path of a directory for many files: stands for the node's own disk."""


class RootedWorker(NodeWorker):
    def shelf(self, method, *args):
        if method == "open":
            args = (args[0], args[1].replace(NODE, _node()), *args[2:])
        return super().shelf(method, *args)

    def disk(self, method, *args):
        if method == "open":
            key, spec = args
            target, node = spec["target"], _node()
            is_marked = NODE in target
            target = target.replace(NODE, node) if is_marked else f"{spec['root']}/{node}{target}"
            args = key, {**spec, "target": target}
        return super().disk(method, *args)


def _node():
    return ray.get_runtime_context().get_node_id()


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
