"""What a real node's agent gives to Prometheus, and what the documents say of it."""

import contextlib
import json
import re
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.request import urlopen

import pytest

import raydl
from raydl.cluster import metrics as module
from raydl.cluster.metrics import RayMetrics
from raydl.download.monitoring import tallies
from raydl.model.errors import CancelledError, HttpError
from raydl.model.metrics import COUNTER, GAUGE, HISTOGRAM, METRICS, Changes
from tests.conftest import random_bytes
from tests.rayhome import free_port
from tests.scripted import anything, status

DOCS = Path(__file__).parent.parent / "docs"

OF_PROMETHEUS = {"le", "instance", "job"}


class Recorded:
    """In the place of Ray's metrics: what is handed on, by name."""

    def __init__(self, monkeypatch):
        self.sums, self.gauges, self.seen = defaultdict(dict), defaultdict(dict), defaultdict(list)
        self.drains = 0
        monkeypatch.setattr("raydl.download.monitoring.RAY_METRICS", self)

    def export(self, drain, here):
        changes = drain()
        self.drains += 1
        for (metric, labels), value in changes.added.items():
            sums = self.sums[metric.name]
            sums[labels] = sums.get(labels, 0) + value
        for (metric, labels), value in changes.now.items():
            self.gauges[metric.name].setdefault(labels, []).append(value)
        for (metric, labels), value in changes.seen:
            self.seen[metric.name, labels].append(value)

    def total(self, name, place):
        """The sum of a counter, by the value of one label."""
        found = defaultdict(int)
        for labels, value in self.sums[name].items():
            found[labels[place]] += value
        return dict(found)

    def rests(self):
        """Whether every gauge was above 0 and is 0 now."""
        return all(
            values[-1] == 0 for gauge in self.gauges.values() for values in gauge.values()
        )
