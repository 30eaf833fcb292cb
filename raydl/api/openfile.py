"""A file on an origin for programs that open files: its errors are those that they know."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from typing import Any

from raydl.api.functions import open_as
from raydl.download.reader import RemoteFile
from raydl.model.errors import HttpError, TimedOutError, render_briefly
from raydl.model.weburl import redact

ERRNO = {
    404: errno.ENOENT,
    410: errno.ENOENT,
    401: errno.EACCES,
    403: errno.EACCES,
    407: errno.EACCES,
    408: errno.ETIMEDOUT,
    504: errno.ETIMEDOUT,
}
"""What a status means to a program that opens a file."""


@contextlib.contextmanager
def errors_of_files(url: str) -> Iterator[None]:
    """Raise what a program that opens files knows, where there is that."""
    try:
        yield
    except (HttpError, TimedOutError) as error:
        number = ERRNO.get(error.status) if isinstance(error, HttpError) else errno.ETIMEDOUT
        if number is None:
            raise
        known = OSError(number, str(error), redact(url))  # Python picks the class
        render_briefly(known, str(known))
        raise known from error


class File(RemoteFile):
    """A file whose errors are those of files."""

    def readinto(self, buffer: Any, /) -> int:
        """Fill ``buffer`` as far as there are bytes at hand."""
        with errors_of_files(self._found.name):
            return super().readinto(buffer)

    def is_of(self, headers: Mapping[str, str]) -> bool:
        """Whether it is the file, in the same version, of an answer with these headers."""
        remote = self._remote
        known = (
            ("Content-Length", str(remote.size)),
            ("ETag", remote.etag or remote.weak_etag),
            ("Last-Modified", remote.last_modified or remote.weak_date),
        )
        told = ((headers.get(name, "").removeprefix("W/"), value) for name, value in known)
        return all(text == value for text, value in told if text and value)


def open_file(url: str, options: dict[str, Any]) -> File:
    """The file, to be read by ranges. Raises what ``errors_of_files`` does."""
    with errors_of_files(url):
        return open_as(File, url, **options)
