"""``raydl fetch`` with several URLs, lists, a repository or a prefix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from raydl.model.errors import FilesFailedError, IncompleteError, UsageError
from raydl.model.weburl import check_url
from raydl.settings.options import Options


class Wanted(NamedTuple):
    """What the command line names: URLs, lists, and what of a repository or prefix."""

    urls: list[str]
    lists: list[str]
    base: str | None
    include: list[str]
    exclude: list[str]

    @property
    def can_be_read_again(self) -> bool:
        """Whether the lists are files, and neither standard input nor a pipe."""
        return all(Path(name).expanduser().is_file() for name in self.lists)


def fetch_many(
    wanted: Wanted,
    name: str | None,
    if_changed: bool,
    report_to: str | None,
    options: Options,
    as_json: bool,
) -> None:
    """Fetch all of it. Raises RaydlError, of which FilesFailedError where some files failed."""
    from raydl.many.hub import is_hub
    from raydl.many.listings import Listings
    from raydl.many.lists import all_of
    from raydl.many.run import Order, run_into_cache, run_many

    hubs = [url for url in wanted.urls if is_hub(url)]
    for url in wanted.urls:
        if url not in hubs:
            check_url(url)
    for listed in wanted.lists:
        if report_to is not None and Path(listed).resolve() == Path(report_to).resolve():
            raise UsageError(f"--report {report_to} is a list to read", "give another name")
    look = Listings(wanted.include, wanted.exclude)

    def read() -> Iterator[Any]:
        return all_of(wanted.urls, wanted.lists, wanted.base, look)

    preview = read if wanted.can_be_read_again else None
    order = Order(read(), preview, name, if_changed, report_to)
    if hubs and options.output_dir is None:
        if len(wanted.urls) + len(wanted.lists) > 1:
            raise UsageError("the hub's cache takes one repository", "or give --output-dir")
        report = run_into_cache(hubs[0], look.hub, order, options)
    else:
        report = run_many(order, options)
    if as_json:
        print(json.dumps(report.to_dict()))
    if report.failed:
        raise FilesFailedError.of(report, "" if report_to else "; --report names them")
    if report.lacking:
        incomplete = IncompleteError(report.lacking, "the same command goes on with just these")
        incomplete.report = report
        raise incomplete
