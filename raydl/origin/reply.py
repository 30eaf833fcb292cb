"""An answer to one request, in whatever way that was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from raydl.origin.wire import Answer


@dataclass(eq=False)
class Reply:
    """What came, of which the body is still to be read from ``answer``.

    ``headers`` are looked up in any case, and several of one name are joined by commas.
    ``cookie`` is the one that was shown, and ``history`` has the redirects that led here.
    """

    method: str
    url: str
    status: int
    reason: str
    headers: Mapping[str, str]
    cookie: str | None
    answer: Answer
    release: Callable[[], None]
    """Gives the connection back."""
    close: Callable[[], None]
    """Closes the connection, unless it was given back."""
    history: list[Reply] = field(default_factory=list)

    def keep(self) -> None:
        """All that is wanted was read: if that is the end, the connection can be used again."""
        if self.answer.length == 0:
            self.answer.read()  # http.client sees an end when it is asked for more
        if self.answer.isclosed():
            self.release()
        else:
            self.close()
