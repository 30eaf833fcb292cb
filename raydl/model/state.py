"""Where a download is in its life."""

from __future__ import annotations

from enum import Enum

from raydl.model.errors import CancelledError


class DownloadState(Enum):
    """The one life cycle, whoever looks at it; the values are words for people."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "stopping"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @classmethod
    def after(cls, error: BaseException | str | None) -> DownloadState:
        """That of one that ended with this error, or one of this class; None is for the file."""
        if error is None:
            return cls.DONE
        kind = error if isinstance(error, str) else type(error).__name__
        return cls.STOPPED if kind == CancelledError.__name__ else cls.FAILED

    @property
    def is_under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self in (DownloadState.RUNNING, DownloadState.PAUSED, DownloadState.CANCELLING)

    @property
    def can_go_on(self) -> bool:
        """Whether it ended without the file."""
        return self in (DownloadState.STOPPED, DownloadState.FAILED)

    @property
    def is_over(self) -> bool:
        """Whether it has ended, successfully or not."""
        return self.can_go_on or self is DownloadState.DONE
