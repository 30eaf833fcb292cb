"""What a person names to be fetched together: URLs, repositories, lists; and the run of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from raydl.model.control import Control
from raydl.model.errors import RaydlError, UsageError
from raydl.model.events import Event
from raydl.model.weburl import check_url
from raydl.settings.options import Options

if TYPE_CHECKING:  # the command line begins with nothing that asks the network
    from raydl.many.names import Extent
    from raydl.model.manyreport import ManyReport

Work = Callable[["Callable[[Event], None] | None", "Control | None"], "ManyReport"]
"""What fetches all of it; to be called once."""


class Wanted(NamedTuple):
    """URLs, lists, and what of a repository or prefix."""

    urls: Sequence[str]
    lists: Sequence[str] = ()
    base: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    @property
    def can_be_read_again(self) -> bool:
        """Whether the lists are files, and neither standard input nor a pipe."""
        return all(Path(name).expanduser().is_file() for name in self.lists)

    def extent(self, name: str | None) -> Extent:
        """How much that is, but for repositories: nothing is asked. Raises UsageError."""
        from raydl.many.lists import all_of
        from raydl.many.names import Naming, must_differ
        from raydl.model.weburl import is_hub

        urls = [url for url in self.urls if not is_hub(url)]
        return must_differ(lambda: all_of(urls, self.lists, self.base), Naming(name))

    def work(
        self, name: str | None, if_changed: bool, report_to: str | None, options: Options
    ) -> Work:
        """What fetches it; ``name`` is a template for names. Raises UsageError."""
        from functools import partial

        from raydl.many.listings import Listings
        from raydl.many.lists import all_of
        from raydl.many.run import Order, run_into_cache, run_many
        from raydl.model.weburl import is_hub

        hubs = [url for url in self.urls if is_hub(url)]
        for url in self.urls:
            if url not in hubs:
                check_url(url)
        look = Listings(self.include, self.exclude)
        notes: dict[str, None] = {}

        def read() -> Iterator[Any]:
            return all_of(self.urls, self.lists, self.base, look, notes.setdefault)

        preview = read if self.can_be_read_again else None
        order = Order(read(), preview, name, if_changed, report_to, notes=notes)
        if not hubs or options.output_dir is not None:
            return partial(run_many, order, options)
        if len(self.urls) + len(self.lists) > 1:
            raise UsageError("the hub's cache takes one repository", "or give --output-dir")
        return partial(run_into_cache, hubs[0], look.hub, order, options)


def problem_of(report: ManyReport, more: str = "") -> RaydlError | None:
    """The error of a run that did not bring all of it; ``more`` ends its hint."""
    from raydl.model.errors import FilesFailedError, IncompleteError

    if report.failed:
        return FilesFailedError.of(report, more)
    if not report.lacking:
        return None
    error = IncompleteError(report.lacking, "the same command goes on with just these")
    error.report = report
    return error
