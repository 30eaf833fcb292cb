"""What is measured for monitoring: the names, kinds, labels and meanings. docs/monitoring.md has
the same for people.

Names are Prometheus's: base units, and ``_total`` for what only grows. Ray prefixes ``ray_``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"


class Metric(NamedTuple):
    """A metric. ``labels`` are their names; a histogram has the ``bounds`` of its buckets."""

    name: str
    kind: str
    labels: tuple[str, ...]
    description: str
    bounds: tuple[float, ...] = ()


FETCHED = Metric(
    "raydl_fetched_bytes_total",
    COUNTER,
    ("node", "origin", "destination"),
    "Bytes that nodes fetched from origins, by node, origin host and kind of destination.",
)
WASTED = Metric(
    "raydl_wasted_bytes_total",
    COUNTER,
    ("destination",),
    "Bytes that were fetched twice or in vain.",
)
RETRIES = Metric(
    "raydl_retries_total",
    COUNTER,
    ("node", "destination"),
    "Requests whose bytes are asked for again, by the node that did not bring them.",
)
HEDGES = Metric(
    "raydl_hedges_total",
    COUNTER,
    ("node", "destination"),
    "Requests that were late, so that another one was made, by the node that was late.",
)
WAITING = Metric(
    "raydl_waiting_seconds_total",
    COUNTER,
    ("reason",),
    "Seconds for which the connections of downloads had to wait, by reason.",
)
SECONDS = Metric(
    "raydl_part_seconds",
    HISTOGRAM,
    ("origin",),
    "Seconds from the request for a part to its last byte, by origin host.",
    # Parts are cut to take a second at most: finer below, coarse where something is wrong.
    (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
LANES = Metric(
    "raydl_lanes",
    GAUGE,
    ("node",),
    "Connections at work now, by node: each is one request in flight.",
)
IN_FLIGHT = Metric(
    "raydl_parts_in_flight",
    GAUGE,
    ("destination",),
    "Requests for parts that are in flight now, by kind of destination.",
)

METRICS = (FETCHED, WASTED, RETRIES, HEDGES, WAITING, SECONDS, LANES, IN_FLIGHT)

Key = tuple[Metric, tuple[str, ...]]
"""A metric with the values of its labels, in order."""


@dataclass
class Changes:
    """What is new: ``added`` to counters, what gauges are ``now``, and what was ``seen`` of
    histograms."""

    added: dict[Key, float] = field(default_factory=dict)
    now: dict[Key, float] = field(default_factory=dict)
    seen: list[tuple[Key, float]] = field(default_factory=list)
