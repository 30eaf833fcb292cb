"""``raydl fetch`` with several URLs, lists, a repository or a prefix."""

from __future__ import annotations

import json
from pathlib import Path

from raydl.many.wanted import Wanted, problem_of
from raydl.model.errors import UsageError
from raydl.settings.options import Options


def fetch_many(
    wanted: Wanted,
    name: str | None,
    if_changed: bool,
    report_to: str | None,
    options: Options,
    as_json: bool,
) -> None:
    """Fetch all of it. Raises RaydlError, of which FilesFailedError where some files failed."""
    for listed in wanted.lists:
        if report_to is not None and Path(listed).resolve() == Path(report_to).resolve():
            raise UsageError(f"--report {report_to} is a list to read", "give another name")
    report = wanted.work(name, if_changed, report_to, options)(None, None)
    problem = problem_of(report, "" if report_to else "; --report names them")
    if problem is not None:
        raise problem
    if not report.files:
        raise UsageError(
            f"{' and '.join(wanted.lists) or 'what was given'} names no files",
            "a list has a URL a line, or columns: see `raydl help sources`",
        )
    if as_json:
        print(json.dumps(report.to_dict()))
