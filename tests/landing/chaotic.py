"""raydl as it is, but that each node has the disk that $TEST_DISK names, and SIGUSR1 asks where.

``python -m tests.landing.chaotic`` is the command line. Driver and workers then write to their
standard error what each thread does; a worker's is among Ray's logs.
"""

import faulthandler
import os
import signal

from raydl.cli.main import main
from raydl.workers import supervisor
from raydl.workers.worker import NodeWorker


class OwnDiskNodeWorker(NodeWorker):
    """What is to be at a path on this node is there on its own disk."""

    def __init__(self, copy):
        super().__init__(copy)
        faulthandler.register(signal.SIGUSR1, file=2)

    def disk(self, method, *args):
        if method == "open":
            key, spec = args
            args = key, {**spec, "target": f"{os.environ['TEST_DISK']}{spec['target']}"}
        return super().disk(method, *args)


if __name__ == "__main__":
    faulthandler.register(signal.SIGUSR1, file=2)
    supervisor.NodeWorker = OwnDiskNodeWorker
    main()
