"""How a command ends: what is said of a failure, and the exit code."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from raydl.cli.misuse import explain
from raydl.model.errors import OutputError, RaydlError, Signalled
from raydl.model.log import DEBUG, error_of, log, note_failure
from raydl.model.units import printable
from raydl.output.oserrors import stdout_error
from raydl.settings.config import progress_style
from raydl.view.terminal import CLEAR, is_drawable

METRICS_SECONDS = 1.0
"""How long a command that used a cluster waits for Ray to send its last metrics. It takes Ray
0.3 s; without them a download's last ten seconds would be missing, and its lanes seem to be at work
on."""


class StandardOutput(io.TextIOWrapper):
    """Standard output; a failure to write it is an error of ours, whatever code writes."""

    @staticmethod
    def watch() -> None:
        """Be ``sys.stdout`` from now on."""
        if isinstance(out := sys.stdout, io.TextIOWrapper):
            sys.stdout = StandardOutput(
                out.buffer, out.encoding, out.errors,
                line_buffering=out.line_buffering, write_through=out.write_through,
            )  # fmt: skip

    def write(self, text: str, /) -> int:
        """Write it. Raises OutputError."""
        try:
            return super().write(text)
        except OSError as error:
            raise stdout_error(error) from None

    def flush(self) -> None:
        """Write what waits. Raises OutputError."""
        try:
            super().flush()
        except OSError as error:
            raise stdout_error(error) from None


def raise_on_signals() -> None:
    """Let the signals that end a program raise Signalled, so that what has to end ends in order."""
    signal.signal(signal.SIGTERM, _signalled)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _signalled)  # the terminal has gone, and it is not nohup


def _signalled(number: int, frame: object) -> NoReturn:  # noqa: ARG001 - the signature of handlers
    # A second SIGTERM means not to wait; a second SIGHUP comes from the same terminal.
    signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    raise Signalled(number)


def run(command: Callable[[], Any], arguments: Sequence[str]) -> int:
    """Run what ``arguments`` mean; returns the exit code, and has said what there is to say."""
    if os.environ.get(DEBUG):
        _tell_what_is_done()
    try:
        code = command()
        if sys.stdout is not None:
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (Exception, KeyboardInterrupt, Signalled) as raised:
        note_failure(raised)
        error = _error(raised, arguments)
    if arguments[:1] == ["fetch"] and progress_style(arguments) == "json":
        _tell_as_event(error)
    else:
        _say(f"raydl: {error.line}")
    if "--json" in arguments:
        from raydl.cli.notices import failed_record

        with contextlib.suppress(OSError, OutputError):
            print(failed_record(error), flush=True)
    return error.exit_code


def _error(raised: BaseException, arguments: Sequence[str]) -> RaydlError:
    """The error that this is."""
    if hasattr(raised, "format_message"):  # of the command line itself
        return explain(raised, arguments)
    return error_of(raised)


def _tell_as_event(error: RaydlError) -> None:
    if not error.was_told:
        from raydl.cli.notices import say_failed

        say_failed(error)


def _tell_what_is_done() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(f"{clear()}%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{clear()}{printable(line)}", file=sys.stderr, flush=True)


def clear() -> str:
    """What takes from a terminal what may be left of a bar, or the ^C that it has shown."""
    return CLEAR if sys.stderr is not None and is_drawable(sys.stderr) else ""


def leave(code: int) -> NoReturn:
    """Exit at once: all is closed and flushed by now.

    Taking the interpreter down in order costs 80 ms, and waits for threads that cannot be
    interrupted, such as one inside a name look-up or one that still connects to Ray.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, OutputError):
            code = code or OutputError.exit_code
    if "ray" in sys.modules:
        from raydl.cluster.metrics import send_rest

        with contextlib.suppress(BaseException):  # also who does not want to wait for it
            send_rest(METRICS_SECONDS)
    os._exit(code)
