"""Nodes that have real files, and bytes instead of Ray's objects: what a landing has to do with."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import deque
from types import SimpleNamespace

from raydl.landing.desk import Means
from raydl.model.control import Control
from raydl.model.digests import Checksum, Proof
from raydl.model.parts import Part
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.scheduler.meter import Meter
from raydl.settings.options import Options
from raydl.workers.actor import ActorTeam, lost_answer
from raydl.workers.nodefiles import NodeFiles
from raydl.workers.protocol import Joined, Left, Listed

DATA = random.Random(5).randbytes(1 << 20)
PART = 64 << 10


class FakeNode(ActorTeam):
    """A worker that answers at once, unless told otherwise, with files in a folder of its own.

    ``before`` is called with (method, args) and may return an answer, ``"never"``, ``"stuck"`` for
    bytes that do not come until they are forgotten, or None.
    """

    def __init__(self, name, folder, labels=None, before=lambda method, args: None):
        self.node, self.labels = name, labels or {}
        self.place = SimpleNamespace(object_store=0)
        self.folder, self.before = folder, before
        self.files = NodeFiles(lambda ref, seconds: memoryview(ref), lambda refs: None)
        self.calls = []
        self.gone = False
        self.stuck = []

    period = 0.25

    def start(self):
        """A worker on the same node, with nothing but what is on the disk."""
        self.files.close_all()
        return FakeNode(self.node, self.folder, self.labels)

    def path(self, target):
        return self.folder / target.lstrip("/")

    def _answer(self, method, args):
        self.calls.append((method, args))
        answer = self.before(method, args)
        if answer is not None:
            return answer
        if method == "open":
            args = (args[0], {**args[1], "target": str(self.path(args[1]["target"]))})
        return getattr(self.files, method)(*args)

    def disk(self, method, *args, done):
        answer = self._answer(method, args)
        if answer == "stuck":
            self.stuck.append((args[1], done))
        elif answer != "never" and not self.gone:
            done(answer)

    def disk_at_once(self, method, *args):
        self._answer(method, args)
        for items, done in self.stuck:
            if {start for start, _, _ in items} & set(args[1]):
                done([lost_answer("it did not come")] * len(items))

    def read(self, key, start, stop, done):
        answer = self._answer("read", (key, start, stop))
        if answer == "never" or self.gone:
            return
        what, data = answer if isinstance(answer[0], tuple) else (lost_answer("x"), None)
        done(what, None if data is None else SimpleNamespace(ref=bytes(data)))


class FakeJob:
    """What is not covered, in parts, each fetched by the next node in turn."""

    def __init__(self, world, destination, kept):
        self.world, self.destination, self.kept = world, destination, kept
        self.meter = Meter(kept.size, len(world.data))
        self.parts, self.limit, self.left = 0, "", deque()
        self.held = []

    def begin(self):
        for start, stop in self.kept.missing(len(self.world.data)):
            self.left.extend(Part(0, at, min(at + PART, stop)) for at in range(start, stop, PART))
        self.world.job = self
        self.open = len(self.left)
        self.fetchers = [n for n in self.world.nodes if not n.gone]
        self.world.job_begins()
        self.feed()

    def feed(self):
        if not self.open:
            self.destination.end(None)
        for _ in range(len(self.left)):
            self.give(self.left.popleft())

    def give(self, part):
        world = self.world
        if world.problems:  # it learns of it
            self.fetchers = [n for n in world.nodes if not n.gone] or world.nodes
        node = self.fetchers[self.parts % len(self.fetchers)].node
        self.parts += 1
        world.given[part.start] = node
        world.served += part.size
        self.meter.arrived(node, part.size)
        payload = SimpleNamespace(ref=bytes(world.data[part.start : part.stop]))

        def done(problem):
            if problem:
                world.problems.append(problem)
                assert len(world.problems) < 1000
                self.give(part)
                return
            self.open -= 1
            world.covered(part)
            if not self.open:
                self.destination.end(None)

        self.destination.take(part, payload, node, done)

    def hold(self, paused):
        self.held.append(paused)


class Worlds:
    """A cluster of fake nodes, and an origin that counts what it serves."""

    def __init__(self, folder, count, *, proof=True, data=DATA, etag='"1"', **options):
        self.data, self.served, self.problems = data, 0, []
        self.nodes = [FakeNode(f"n{i}", folder / f"n{i}") for i in range(count)]
        for node in self.nodes:
            node.folder.mkdir(exist_ok=True)
        self.events, self.listen = [], None
        self.now = 100.0
        self.covered = lambda part: None
        self.job, self.given = None, {}
        self.job_begins = lambda: None
        self.control = Control()
        remote = Remote("u", "u", len(data), True, etag, None, "f")
        digest = Checksum("sha256", hashlib.sha256(data).hexdigest())
        self.means = Means(
            SimpleNamespace(remote=remote, identity=Identity.of("http://h/f")),
            Proof(digest, "given") if proof else None,
            Options.of({"to": "every-node", **options}),
            self.events.append,
            self.control,
            self._fetch,
            self._fleet,
            False,
        )

    @contextlib.contextmanager
    def _fetch(self, destination, kept):
        yield FakeJob(self, destination, kept)

    @contextlib.contextmanager
    def _fleet(self, listen):
        self.listen = listen
        self.list()
        for node in self.nodes:
            listen(Joined(node))
        yield

    def list(self):
        self.listen(Listed({node.node: node.labels for node in self.nodes}))

    def lose(self, node, *, listed=True, reason="its process ended"):
        node.gone = True
        if not listed:
            self.nodes.remove(node)
            self.list()
        self.listen(Left(node.node, node, reason))

    def join(self, node):
        self.nodes = [n for n in self.nodes if n.node != node.node] + [node]
        self.list()
        self.listen(Joined(node))

    def clock(self):
        return self.now

    def has(self, node, target="/d/f"):
        path = node.path(target)
        return path.exists() and path.read_bytes() == self.data

    def left(self, node, target="/d/f"):
        folder = node.path(target).parent
        return sorted(p.name for p in folder.iterdir()) if folder.exists() else []
