"""What all downloads of the process know of each origin host. Pure state."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from raydl.scheduler.ceiling import Bearing

if TYPE_CHECKING:
    from raydl.scheduler.lanes import LaneGroup

KEPT_SECONDS = 60.0
"""What was learned of an origin is kept for this long after the last download from it."""

MOST_BEARINGS = 256
"""Of so many origins is kept how many connections they bear, for as long as the process lives."""


class OriginHost:
    """One origin. ``in_flight`` counts the requests to it, and none starts before ``until``, as it
    has asked. ``groups`` are the lanes that begin there, by their number where the user has set it.
    """

    def __init__(self, bearing: Bearing | None = None) -> None:
        self.bearing = bearing or Bearing()
        self.in_flight = 0
        self.until = 0.0
        self.used_at = 0.0
        self.groups: dict[int | None, LaneGroup] = {}


class Origins:
    """Every origin that was used of late, by scheme, host and port."""

    def __init__(self) -> None:
        self._hosts: dict[tuple[str, str], OriginHost] = {}
        self._bearings: OrderedDict[tuple[str, str], Bearing] = OrderedDict()

    def at(self, url: str, now: float) -> OriginHost:
        """The origin of that URL."""
        parts = urlsplit(url)
        key = parts.scheme, parts.netloc.rpartition("@")[2]
        host = self._hosts.get(key)
        if host is None:
            host = self._hosts[key] = OriginHost(self._bearings.setdefault(key, Bearing()))
        self._bearings.move_to_end(key)
        while len(self._bearings) > MOST_BEARINGS:
            self._bearings.popitem(last=False)
        host.used_at = now
        return host

    def groups(self) -> list[LaneGroup]:
        """All lanes at all origins."""
        return [group for host in self._hosts.values() for group in host.groups.values()]

    def forget(self, now: float) -> None:
        """Forget the origins that nobody has used for a while."""
        for key, host in list(self._hosts.items()):
            if any(group.jobs for group in host.groups.values()) or host.in_flight:
                host.used_at = now
            elif now - host.used_at > KEPT_SECONDS:
                del self._hosts[key]
                for lanes in (lanes for group in host.groups.values() for lanes in group):
                    lanes.node.lanes.remove(lanes)
