"""Where a download goes: a file, to which the origin may give its name, or another sink."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from raydl.cluster.address import ClusterChoice
from raydl.download.reader import RemoteFile
from raydl.model.control import Control
from raydl.model.digests import Proof
from raydl.model.errors import UsageError
from raydl.model.eventlog import note_quietly
from raydl.model.remote import Remote
from raydl.origin.resolver import Located
from raydl.output.extraction import ExtractSink
from raydl.output.filesink import FileSink
from raydl.output.piecefile import PieceFile
from raydl.output.sink import Sink
from raydl.output.stdoutsink import StdoutSink
from raydl.output.target import STDOUT, in_directory, planned_path, target_path, tree_path
from raydl.output.tree import check_filter
from raydl.settings.options import Options

Output = str | os.PathLike[str] | Callable[[Proof | None], Sink] | None
"""A path, a directory, ``-``, None for the origin's name here, ``s3://bucket/key``, or what makes
a sink."""

BUCKET = "s3://"


class SinkChoice:
    """What ``output`` means to a download with these options; no path where it is no file.

    ``mode_of`` is the file that it replaces later on, and whose permissions it has until then.
    """

    def __init__(self, output: Output, options: Options, mode_of: Path | None = None) -> None:
        self._options, self._output, self.mode_of = options, output, mode_of
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
        if self._options.extract:
            return self._tree_path()
        return planned_path(self._into) if self.is_file else None

    def path(self, remote: Remote) -> Path | None:
        """The file's path."""
        if self._options.extract:
            return self._tree_path(remote.name)
        return target_path(self._into, remote) if self.is_file else None

    def check_extract(self) -> None:
        """Raise UsageError where an archive cannot be unpacked."""
        if self._output == STDOUT:
            raise UsageError(
                "--extract and -o - contradict each other", "raydl fetch URL -o - | tar x"
            )
        if not self.is_file or self._options.to != "here":
            where = self.bucket or f"--to {self._options.to}"
            raise UsageError(
                f"--extract unpacks on this machine, and nothing to {where}",
                "-o DIRECTORY, with --to here",
            )
        check_filter()

    def open(
        self, found: Located, proof: Proof | None, control: Control, choice: ClusterChoice
    ) -> Sink:
        """The sink for what was found. Raises RaydlError."""
        if self._make_sink is not None:
            return self._make_sink(proof)
        options, remote = self._options, found.remote
        tree = self._tree_path(remote.name) if options.extract else None
        if tree is not None:
            can_seek = remote.ranges and remote.size is not None
            return ExtractSink(
                tree,
                remote,
                proof=proof,
                overwrite=options.overwrite,
                open_list=partial(RemoteFile, found, choice, options, note_quietly)
                if can_seek
                else None,
                check=lambda: control.wait(0),
            )
        path = target_path(self._into, remote)
        kind: Callable[..., FileSink] = FileSink
        if found.pieces is not None:
            mend = options.repair and path.exists()
            if mend and path.is_symlink():
                path = path.resolve()  # what it leads to is mended, and the link stays
            kind = partial(PieceFile, found.pieces, mend=mend)
        return kind(
            path,
            remote,
            found.identity,
            proof=proof,
            resume=options.resume,
            overwrite=options.overwrite,
            check=lambda: control.wait(0),
            mode_of=self.mode_of,
            # A statement of the origin's alone is no reason to throw a whole file away. What the
            # mirrors that it names brought comes once more, without them.
            keep_bad=not found.named
            and (options.keep_bad or (proof is not None and proof is remote.digest)),
        )

    def _tree_path(self, name: str | None = None) -> Path | None:
        if callable(self._output) or not self.is_file:
            return None
        return tree_path(self._output, self._options.output_dir, name)
