"""What a tuner tries next, and when. Pure state."""

from __future__ import annotations

SOON_SECONDS, DOUBT_SECONDS = 1.0, 20.0
"""Half the lanes are tried this long after more had not helped. It is the longer time where it was
clear that the last ones that were added did."""

HOLD_SECONDS, LONGEST_HOLD = 20.0, 80.0
"""What was tried in vain is tried again after a while, and then after twice as long."""


class Agenda:
    """``is_new``: nothing was tried in vain yet, so more lanes are, again and again. ``fewer``:
    half of them are next. ``at`` is when, ``step`` how many times as many are tried."""

    def __init__(self) -> None:
        self.at = 0.0
        self._hold = HOLD_SECONDS
        self.forget()

    def forget(self) -> None:
        """What was found out holds no more."""
        self.is_new, self.fewer, self.step = True, False, 2
        self.was_clear = False
        """Whether it was clear that the last lanes that were added helped."""
        self.shrank = False
        """Whether the last trial was of fewer lanes, which did as well."""
        self._needed = 0

    def is_due(self, now: float) -> bool:
        """Whether something is to be tried."""
        return self.is_new or now >= self.at

    def start_again(self) -> None:
        """What was tried in vain is tried at once."""
        self.is_new, self.fewer = True, False

    def rest_on(self, lanes: int, least: int, now: float) -> None:
        """So many are enough: what remains to be seen is whether fewer are, down to ``least``."""
        self.is_new, self.step = False, 2
        if lanes > max(least, self._needed):
            self.fewer = True
            self.at = now + (DOUBT_SECONDS if self.was_clear else SOON_SECONDS)
        else:
            self._needed = 0
            self.wait(now)

    def could_shrink(self, now: float) -> None:
        """Half of them did as well: perhaps half of these do, too."""
        self.was_clear = False
        self.fewer = self.shrank = True
        self.at = now + SOON_SECONDS

    def could_not_shrink(self, lanes: int, now: float) -> None:
        """So many are needed. If there were more before, that was perhaps one step too far: then
        what is above is tried at once."""
        self._needed = lanes
        if self.shrank:
            self.shrank, self.at = False, now
        else:
            self.wait(now)

    def wait(self, now: float, seconds: float | None = None) -> None:
        """Try nothing for so many seconds; else for a while, and for longer the next time."""
        self.is_new = False
        if seconds is None:
            seconds = self._hold
            self._hold = min(2 * self._hold, LONGEST_HOLD)
        self.at = now + seconds

    def not_before(self, at: float) -> None:
        """Try nothing until then."""
        self.at = max(self.at, at)

    def hurry(self) -> None:
        """Pauses are short again."""
        self._hold = HOLD_SECONDS
