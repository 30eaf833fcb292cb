"""Nodes that are asked something, all at once, and have a time to answer."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

from raydl.cluster.actors import ActorLost, reason_of, shipped_by_value


class Answered(NamedTuple):
    """What a node said, or the ActorLost of one that never will; ``asked`` and ``came`` are times
    by this machine's clock, in seconds."""

    value: Any
    asked: float
    came: float


class Questions:
    """An actor on each of some nodes, whose methods are the questions."""

    def __init__(self, ray: ModuleType, nodes: Iterable[str], kind: type) -> None:
        self._ray = ray
        affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        with shipped_by_value(ray):
            actor = ray.remote(num_cpus=0, max_restarts=0)(kind)
            self._handles = {
                node: actor.options(scheduling_strategy=affinity(node, soft=False)).remote()
                for node in nodes
            }

    def ask(
        self, method: str, of: Mapping[str, tuple[Any, ...]], seconds: float
    ) -> dict[str, Answered]:
        """What nodes answered in time, by their ids; ``of`` has for each what it is asked."""
        answers: dict[str, Answered] = {}
        changed = threading.Condition()

        def answered(node: str, asked: float, future: Any) -> None:
            error = future.exception()
            value = future.result() if error is None else ActorLost(reason_of(error))
            with changed:
                answers[node] = Answered(value, asked, time.time())
                changed.notify()

        for node, args in of.items():
            asked = time.time()
            ref = getattr(self._handles[node], method).remote(*args)
            ref.future().add_done_callback(partial(answered, node, asked))
        with changed:
            changed.wait_for(lambda: len(answers) == len(of), seconds)
            return dict(answers)

    def close(self) -> None:
        """End the actors, without waiting."""
        for handle in self._handles.values():
            with contextlib.suppress(Exception):
                self._ray.kill(handle)
