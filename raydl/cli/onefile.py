"""``raydl fetch`` with one URL."""

from __future__ import annotations

import json
import sys
from typing import Any

from raydl.cli.alone import guarded
from raydl.cli.flags import options_of
from raydl.model.errors import UsageError


def fetch_one(url: str, output: str | None, flags: dict[str, Any], as_json: bool) -> None:
    """Fetch it. Raises RaydlError."""
    from raydl.download.download import run

    if as_json and output == "-":
        raise UsageError(
            "--json and -o - both want standard output", "use --progress json: it has the report"
        )
    if output == "":
        raise UsageError("the output has no name", "leave -o out for the origin's name")
    if output == "-" and sys.stdout is not None and sys.stdout.isatty():
        raise UsageError("standard output is a terminal", "pipe it on, or save with -o PATH")
    report = run(url, output, guarded(options_of(flags), can_start_again=output != "-"))
    if as_json:
        print(json.dumps(report.to_dict()))
