"""The report that a run writes: a line for each file, as JSON, CSV or Parquet."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raydl.model.errors import UsageError
from raydl.model.manyreport import FileReport, line_of
from raydl.output.oserrors import output_error

Write = Callable[[FileReport], None]

COLUMNS = list(FileReport.__dataclass_fields__)
ROWS_AT_ONCE = 10_000


@contextlib.contextmanager
def report_file(name: str | None) -> Iterator[Write]:
    """What puts a line into the report ``name``; its ending says which kind it is.

    Raises UsageError, OutputError.
    """
    if name is None:
        yield lambda _: None
        return
    path = Path(name).expanduser()
    make = _KINDS.get(path.suffix.lower())
    if make is None:
        raise UsageError(f"--report {name!r}: of what kind?", f"its ending is {', '.join(_KINDS)}")
    try:
        with make(path) as write:
            yield write
    except OSError as error:
        raise output_error(error, path) from None


@contextlib.contextmanager
def _json_lines(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda report: _ignore(file.write(line_of(report) + "\n"))


@contextlib.contextmanager
def _table(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda report: _ignore(writer.writerow(report.to_dict().values()))


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise UsageError("reports in Parquet need a library", "pip install pyarrow") from None
    kinds = {"number": pyarrow.int64(), "size": pyarrow.int64()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])
    rows: list[dict[str, Any]] = []
    with ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))
            rows.clear()

        def write(report: FileReport) -> None:
            rows.append(report.to_dict())
            if len(rows) >= ROWS_AT_ONCE:
                flush()

        yield write
        flush()


def _ignore(_: object) -> None:
    """Of what libraries return."""


_KINDS = {".jsonl": _json_lines, ".csv": _table, ".parquet": _parquet}
