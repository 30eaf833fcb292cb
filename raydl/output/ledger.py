"""The account of a directory that many files go to: which are there, whole. One small file."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from raydl.model.errors import BusyError, DiskError, OutputError
from raydl.output.journal import boot_id
from raydl.settings.ownfile import check_own

NAME = ".raydl-files"
"""In the directory of the run."""

_TABLES = """
CREATE TABLE IF NOT EXISTS begun (key BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    key BLOB PRIMARY KEY, size INTEGER, written INTEGER, etag TEXT,
    last_modified TEXT, digest TEXT, boot TEXT, round INTEGER
) WITHOUT ROWID
"""


ROWS = 100
"""With one statement: SQLite takes 999 values, in its older versions."""


class Known(NamedTuple):
    """A file that came. ``written`` is when (ns); ``digest`` the one that was compared, as text.

    ``boot`` is that of the machine, empty for what had been brought to the disk: what came in
    another one may not have survived its end.
    """

    size: int
    written: int
    etag: str | None
    last_modified: str | None
    digest: str
    boot: str


class Ledger:
    """Knows the files by where they came from. For one thread.

    Nothing in it is a secret: URLs are there as a hash. Raises OutputError, and BusyError while
    another run uses the directory.
    """

    def __init__(self, directory: Path) -> None:
        self._path, self._boot, self._round = directory / NAME, boot_id() or "?", 1
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                check_own(self._path)
            self._database = sqlite3.connect(
                self._path, timeout=0.5, isolation_level=None, check_same_thread=False
            )
            try:
                self._open()
            except sqlite3.Error:
                self._database.close()
                raise
        except OSError as error:
            raise OutputError(
                f"cannot write to {directory}: {error.strerror}", "choose another --output-dir"
            ) from None
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _open(self) -> None:
        # Of one process alone, so that no file system has to share memory; and safe from a
        # crash of the machine without waiting for the disk (sqlite.org/wal.html).
        self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_TABLES)
        self._database.execute("BEGIN IMMEDIATE")
        self.salt = self._find_salt()

    def _find_salt(self) -> int:
        """A number that no other ledger has; see ``seal``."""
        (salt,) = self._database.execute("PRAGMA user_version").fetchone()
        if not salt:
            salt = 1 + secrets.randbelow(2**31 - 1)
            self._database.execute(f"PRAGMA user_version = {salt}")
        return int(salt)

    def _one(self, statement: str, values: tuple[Any, ...] = ()) -> Any:
        """The first row. Raises OutputError, BusyError."""
        try:
            return self._database.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _all(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """With ``statement`` and as many groups of values as there are rows.

        Many rows with one call: after each call a thread has to wait for its turn among lanes.
        """
        for start in range(0, len(rows), ROWS):
            some = rows[start : start + ROWS]
            group = f"({', '.join('?' * len(some[0]))})"
            values = [value for row in some for value in row]
            self._one(statement.format(", ".join([group] * len(some))), tuple(values))

    def _error(self, error: sqlite3.Error) -> OutputError | BusyError:
        if "locked" in str(error):
            return BusyError(
                f"another raydl fetches many files to {self._path.parent}", "wait for it"
            )
        # It has taken back what it was about to write, and then has nothing to commit.
        if "is full" in str(error) or "no transaction is active" in str(error):
            return DiskError(f"cannot write {self._path}: the disk is full", "free some space")
        if "unable to open" in str(error):
            return OutputError(
                f"{self._path.parent} cannot be written to: no permission, or read-only",
                "save elsewhere with --output-dir",
            )
        hint = "remove it; what is there is then nobody's: --overwrite, or --skip-existing"
        return OutputError(f"{self._path} cannot be used: {error}", hint)

    def find(self, key: bytes) -> Known | None:
        """What came of it before."""
        row = self._one(
            "SELECT size, written, etag, last_modified, digest, boot FROM files "
            "WHERE key = ?", (key,),
        )  # fmt: skip
        return None if row is None else Known(*row)

    def begin(self, keys: Iterable[bytes]) -> None:
        """These are to come: if a run is killed before it can say that one is
        there, that one is known by this."""
        self._all("INSERT OR REPLACE INTO begun VALUES {}", [(key,) for key in keys])
        self.save()

    def is_begun(self, key: bytes) -> bool:
        """Whether an earlier run may have put it there."""
        return bool(self._one("SELECT 1 FROM begun WHERE key = ?", (key,)))

    def forget(self, key: bytes) -> None:
        """It does not come: what may be at its path is somebody's."""
        self._all("DELETE FROM begun WHERE (key) IN (VALUES {})", [(key,)])

    def is_certain(self, known: Known) -> bool:
        """Whether what came is there still, if nobody changed it."""
        return known.boot in ("", self._boot)

    def add(self, files: Iterable[tuple[bytes, Known]]) -> None:
        """These came."""
        boot, number = self._boot, self._round
        rows = [(key, *known._replace(boot=boot), number) for key, known in files]
        self._all("INSERT OR REPLACE INTO files VALUES {}", rows)
        self._all("DELETE FROM begun WHERE (key) IN (VALUES {})", [(key,) for key, *_ in rows])

    def save(self) -> None:
        """What was added is there for the next run, also after kill -9."""
        self._one("COMMIT")
        self._one("BEGIN IMMEDIATE")

    def next_round(self) -> int:
        """A number for what was added since the last one: it is brought to the disk from now on."""
        self._round += 1
        return self._round - 1

    def settle(self, number: int) -> None:
        """What was added until then is on the disk: it counts whatever happens to the machine."""
        self._one("UPDATE files SET boot = '' WHERE boot = ? AND round <= ?", (self._boot, number))
        self.save()

    def close(self) -> None:
        """Let others have it. It stays where nothing is in it, too: one may be about to open it."""
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._database):
            self._database.execute("COMMIT")
