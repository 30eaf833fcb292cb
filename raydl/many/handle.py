"""Many files that are fetched in the background, and what to do with that."""

from __future__ import annotations

from collections.abc import Callable

from raydl.download.handle import Handle, Heard
from raydl.model.control import Control
from raydl.model.fileevents import FilesNow
from raydl.model.manyreport import ManyReport
from raydl.model.units import format_size


class ManyDownload(Handle[ManyReport, FilesNow]):
    """A run of many files in a thread of its own; ``raydl.start_many`` returns it."""

    _progress_kind = FilesNow

    def __init__(
        self, work: Callable[[Heard, Control], ManyReport], on_event: Heard | None
    ) -> None:
        super().__init__(work, on_event)

    def _far(self) -> str:
        assert self._progress is not None
        now = self._progress
        return f"{now.files}, {format_size(now.fetched)}"

    def __repr__(self) -> str:
        return self._said("of many files")
