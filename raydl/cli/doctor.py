"""``raydl doctor``: what does not work here, with the mend for each, as it is found."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from raydl import __version__
from raydl.cli.flags import options_of
from raydl.cli.guard import stand_by
from raydl.cluster.address import may_be_cluster
from raydl.doctor.examination import examine
from raydl.doctor.judge import exit_code
from raydl.doctor.rows import DOUBTFUL, HERE, WRONG, Row, wrong
from raydl.model.errors import ClusterError, UsageError
from raydl.model.units import counted, printable
from raydl.settings.options import Options


def doctor(url: str | None, flags: dict[str, Any], as_json: bool) -> int:
    """Look at everything, and say what was found; returns the exit code."""
    options, problems = _options(flags)
    if may_be_cluster(options.address) and stand_by(starts_ray=False):
        what = "Ray ended this process, as it does where its node on this machine does not answer"
        rows = iter([wrong(HERE, "cluster", ClusterError(what, "look at it with `ray status`"))])
    else:
        rows = chain(problems, examine(options, url))
    if as_json:
        found = list(rows)
        code = exit_code(found)
        record = {"version": __version__, "exit_code": code, "rows": [r.to_dict() for r in found]}
        print(json.dumps(record))
        return code
    found = list(_shown(rows))
    print(_sum(found))
    return exit_code(found)


def _options(flags: dict[str, Any]) -> tuple[Options, list[Row]]:
    try:
        return options_of(flags), []
    except UsageError as error:
        # What is wrong with flags is not what was to be looked for.
        return Options.of(flags), [wrong(HERE, "settings", error)]


def _shown(rows: Iterable[Row]) -> Iterator[Row]:
    for row in rows:
        begin = f"{row.state:<8}  {row.where:<15}  {row.what:<12}  "
        print(_wrapped(begin, row.found), flush=True)
        if row.mend:
            print(_wrapped(" " * len(begin), row.mend), flush=True)
        yield row


def _wrapped(begin: str, text: str) -> str:
    """The text behind ``begin``, and below itself where a terminal is too narrow for it."""
    line = begin + printable(text)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(line)
    if len(line) <= max(columns, len(begin) + 20):
        return line
    return textwrap.fill(
        printable(text),
        columns,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _sum(rows: list[Row]) -> str:
    states = [row.state for row in rows]
    parts = [counted(states.count(state), state) for state in (WRONG, DOUBTFUL) if state in states]
    return f"{' and '.join(parts)}: the line below each says what to do" if parts else "all is well"
