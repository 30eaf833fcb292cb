"""Ray's metrics, as far as raydl sees them: what was handed on, added up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import pytest

from raydl.model.metrics import FETCHED, Changes, Key, Metric


class Recorded:
    """In the place of ``RAY_METRICS``; ``counters``, ``gauges`` (every value) and ``seen``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counters: defaultdict[Key, float] = defaultdict(float)
        self.gauges: defaultdict[Key, list[float]] = defaultdict(list)
        self.seen: defaultdict[Key, list[float]] = defaultdict(list)
        monkeypatch.setattr("raydl.download.monitoring.RAY_METRICS", self)

    def export(self, drain: Callable[[], Changes], here: str) -> None:
        changes = drain()
        for key, more in changes.added.items():
            assert more > 0
            self.counters[key] += more
        for key, now in changes.now.items():
            self.gauges[key].append(now)
        for key, value in changes.seen:
            self.seen[key].append(value)

    def sums(self, label: str, metric: Metric = FETCHED) -> dict[str, float]:
        """A counter by the values of one of its labels."""
        found: defaultdict[str, float] = defaultdict(float)
        for (counted, values), value in self.counters.items():
            if counted is metric:
                found[values[metric.labels.index(label)]] += value
        return dict(found)

    @property
    def is_at_rest(self) -> bool:
        """Whether every gauge is 0."""
        return not any(values[-1] for values in self.gauges.values())

    @property
    def text(self) -> str:
        """All that was handed on."""
        return repr([*self.counters, *self.gauges, *self.seen])
