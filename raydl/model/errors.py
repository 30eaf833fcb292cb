"""Every way a download can fail: one class an exit code, plain data, safe to pickle.

The table in the README and in ``raydl fetch --help`` is made from these classes.
"""

from __future__ import annotations

import signal
from functools import partial
from typing import Any

from raydl.model.wording import in_keywords

THREADS_HINT = "it limits threads and processes: see `ulimit -u` and the container's limits"


class RaydlError(Exception):
    """Base of every error that raydl raises on purpose.

    ``message`` says what happened and where; ``hint`` says what to do about it (it may be
    empty). Both are plain strings without credentials, so an error can be logged as it is. They
    name options as flags of the command line; the text of the error, as Python shows it, has
    keywords instead.
    """

    exit_code = 1
    report: Any = None
    """What came all the same, of those that have such."""
    meaning = "an unexpected error: please report it"
    was_told = False
    """Whether a ``failed`` event has told of it."""

    def __init__(self, message: str, hint: str = "") -> None:
        # Exactly the arguments of __init__ go to Exception: pickle calls the class with them.
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    @property
    def line(self) -> str:
        """Both in a line, as the command line says it."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        return in_keywords(self.line)

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: IPython asks for it, instead of a page of frames that are raydl's.

        https://ipython.readthedocs.io/en/stable/config/integrating.html
        """
        lines = [f"{type(self).__name__}: {in_keywords(self.message)}"]
        return [*lines, f"  {in_keywords(self.hint)}"] if self.hint else lines


def render_briefly(raised: BaseException, text: str) -> None:
    """Have a notebook show that error of Python's own as one line, as it does ours."""
    line = f"{type(raised).__name__}: {text}"
    vars(raised)["_render_traceback_"] = partial(
        list, [line]
    )  # which pickles, as a lambda does not


class UsageError(RaydlError):
    """An option, an address, a configuration key or a file to read that does not fit."""

    exit_code = 2
    meaning = "wrong usage: a flag, a value, a configuration key, a file to read that is not there"


class NetworkError(RaydlError):
    """The origin could not be reached, or stopped answering, and the retries ran out."""

    exit_code = 3
    meaning = "the origin or a bucket could not be reached, or went silent, and the retries ran out"


class TimedOutError(NetworkError):
    """The origin accepted no connection, or sent nothing, for ``timeout`` seconds."""


class HttpError(RaydlError):
    """The origin answered with an error status (``status``), such as 404.

    ``url`` is the one that was asked for, without its secrets; empty where it was no download's.
    """

    exit_code = 4
    url = ""
    meaning = "the origin or a bucket answered with an error status"

    def __init__(self, message: str, hint: str = "", status: int = 0) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, status)
        self.status = status


class WrongAnswerError(RaydlError):
    """What came does not fit what was asked: other bytes, length, version; no sound archive."""

    exit_code = 5
    meaning = "the origin's answers do not fit together, or an archive is damaged or unsafe"


class OriginChangedError(WrongAnswerError):
    """The file changed on the origin while it was downloaded."""


class RangesIgnoredError(WrongAnswerError):
    """The origin promised byte ranges and then ignored them; one stream still works."""


class ChecksumError(RaydlError):
    """The file is complete, but its digest is not the one that was asked for."""

    exit_code = 6
    meaning = "the digest is not the one that was given, listed or stated by the origin"


class BadPieceError(ChecksumError):
    """A piece of the file has another digest than it must have, wherever it was asked for."""


class TargetError(RaydlError):
    """The target, or a .part file of others or of another URL, is there, or being written."""

    exit_code = 7
    meaning = "the target or a .part file of others is there, or another raydl is writing it"


class BusyError(TargetError):
    """Another raydl is writing the target."""


class OutputError(RaydlError):
    """The bytes could not be written: disk full, no permission, reader gone.

    Where they go to a bucket, the exit code is that of a source to which the same happens.
    """

    exit_code = 8
    meaning = "the output cannot be written: disk full, no permission, directory gone"


class DiskError(OutputError):
    """No other file can be written there, either: it is full, read-only, or broken."""


class ClusterError(RaydlError):
    """The Ray cluster cannot be reached or used."""

    exit_code = 9
    meaning = "the Ray cluster cannot be reached or used"


class IncompleteError(RaydlError):
    """Some of the nodes that were to have the file do not have it; ``report`` tells of each."""

    exit_code = 10
    meaning = "some nodes do not have the file: the same command goes on with just these"


class FilesFailedError(RaydlError):
    """Some of many files failed; ``report`` tells of each."""

    exit_code = 11
    meaning = "some of many files failed: the report names them, the same command goes on"

    @classmethod
    def of(cls, report: Any, more: str = "") -> FilesFailedError:
        """The error of a run with that report; ``more`` ends its hint."""
        lacking = report.lacking
        error = cls(
            report.verdict + (f"; {lacking}" if lacking else ""),
            f"the same command tries these again{more}",
        )
        error.report = report
        return error


INTERRUPTED = 130


class CancelledError(RaydlError):
    """The download was cancelled; what was written stays, to go on from."""

    exit_code = INTERRUPTED
    meaning = "interrupted by Ctrl-C or cancelled; the same command goes on"


HUNG_UP = 129
TERMINATED = 143


class Signalled(BaseException):
    """A signal arrived that ends the program."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def to_error(self, hint: str = "") -> CancelledError:
        """What is said of it."""
        error = CancelledError(f"ended by {signal.Signals(self.number).name}", hint)
        error.exit_code = 128 + self.number
        return error


def error_named(name: str, message: str, hint: str) -> RaydlError:
    """The error of that class, which crossed Ray as text; RaydlError where it is none of these."""
    error: RaydlError = globals().get(name, RaydlError)(message, hint)
    return error


def exit_codes() -> dict[int, str]:
    """The documented exit codes, in order: code to meaning."""
    table = {0: "the file is there, whole and verified"}
    classes: list[type[RaydlError]] = [RaydlError, *RaydlError.__subclasses__()]
    table.update({cls.exit_code: cls.meaning for cls in classes})
    table[HUNG_UP] = "ended by SIGHUP, for the terminal has gone; the same command goes on"
    table[TERMINATED] = "ended by SIGTERM; the same command goes on"
    return dict(sorted(table.items()))
