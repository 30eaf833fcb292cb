"""Where a download goes: a file, to which the origin may give its name, or another sink."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from raydl.model.control import Control
from raydl.model.digests import Proof
from raydl.model.remote import Remote
from raydl.origin.resolver import Located
from raydl.output.filesink import FileSink
from raydl.output.sink import Sink
from raydl.output.stdoutsink import StdoutSink
from raydl.output.target import STDOUT, in_directory, planned_path, target_path
from raydl.settings.options import Options

Output = str | os.PathLike[str] | Callable[[Proof | None], Sink] | None
"""A path, a directory, ``-``, None for the origin's name here, ``s3://bucket/key``, or what makes
a sink."""

BUCKET = "s3://"


class SinkChoice:
    """What ``output`` means to a download with these options; no path where it is no file."""

    def __init__(self, output: Output, options: Options) -> None:
        self._options = options
        self._make_sink: Callable[[Proof | None], Sink] | None = None
        self._into: str | os.PathLike[str] | None = None
        self.bucket: str | None = None
        """The object in a bucket that it is to be."""
        if callable(output):
            self._make_sink = output
        elif output == STDOUT:
            self._make_sink = StdoutSink
        elif isinstance(output, str) and output.startswith(BUCKET):
            self.bucket = output
        else:
            into = in_directory(output, options.output_dir)
            if isinstance(into, str) and into.startswith(BUCKET):
                self.bucket = into
            else:
                self._into = into

    @property
    def is_file(self) -> bool:
        """Whether it is one, and no stream or object."""
        return self._make_sink is None and self.bucket is None

    @property
    def directory(self) -> Path | None:
        """The directory into which it goes under the origin's name, where one was given."""
        if self._into is None or self.planned_path() is not None:
            return None
        return Path(self._into)

    def planned_path(self) -> Path | None:
        """The file's path, where it is known before the origin was asked."""
        return planned_path(self._into) if self.is_file else None

    def path(self, remote: Remote) -> Path | None:
        """The file's path."""
        return target_path(self._into, remote) if self.is_file else None

    def open(self, found: Located, proof: Proof | None, control: Control) -> Sink:
        """The sink for what was found. Raises RaydlError."""
        if self._make_sink is not None:
            return self._make_sink(proof)
        options, remote = self._options, found.remote
        return FileSink(
            target_path(self._into, remote),
            remote,
            found.identity,
            proof=proof,
            resume=options.resume,
            overwrite=options.overwrite,
            check=lambda: control.wait(0),
            # A statement of the origin's alone is no reason to throw a whole file away.
            keep_bad=options.keep_bad or (proof is not None and proof is remote.digest),
        )
