"""Lines that the command line itself shows, in the style of the rest.

Not imported before there is one: most starts have none, and events take time to import.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from raydl.model.errors import RaydlError
from raydl.model.events import Failed, Notice
from raydl.view.progress import renderer


def say(style: str, lines: Iterable[str]) -> None:
    """Show lines in a style of ``--progress``."""
    with renderer(style) as render:
        for line in lines:
            render(Notice(line))


def say_failed(error: RaydlError) -> None:
    """Show an error as a JSON line."""
    with renderer("json") as render:
        render(Failed.of(error))


def failed_record(error: RaydlError) -> str:
    """The same error as the JSON object of a command that prints one.

    Where some nodes, or some of many files, are right, ``report`` tells of that.
    """
    record = Failed.of(error).details()
    if error.report is not None:
        record["report"] = error.report.to_dict()
    return json.dumps(record)
