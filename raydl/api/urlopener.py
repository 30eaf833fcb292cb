"""What ``raydl.install`` makes of ``urllib.request.urlopen``: large files take the fleet."""

from __future__ import annotations

import io
import urllib.request
from collections.abc import Mapping
from http.client import HTTPResponse
from typing import Any
from urllib.request import Request, build_opener

from raydl.api.openfile import open_file
from raydl.download.reader import LARGE
from raydl.model.errors import RaydlError


class Opener:
    """Opens as ``before`` does, which is what was installed, or None for urllib's own; but the body
    of a large answer comes through raydl. A file that raydl cannot open, or that is another one
    when it asks, comes as it came.
    """

    def __init__(self, before: Any, options: Mapping[str, Any]) -> None:
        self.before = before
        self._inner = build_opener() if before is None else before
        self._options = dict(options)

    def open(self, fullurl: str | Request, data: Any = None, *timeout: Any) -> Any:
        """What ``urlopen`` returns."""
        request = Request(fullurl) if isinstance(fullurl, str) else fullurl
        answer = self._inner.open(request, data, *timeout)
        if not _is_large(request, answer):
            return answer
        options = dict(self._options)
        if given := request.headers:
            options["header"] = {**options.get("header", {}), **given}
        if timeout and isinstance(timeout[0], int | float):
            options["timeout"] = timeout[0]
        try:
            file = open_file(request.full_url, options)
        except (RaydlError, OSError):
            return answer
        if not file.seekable() or not file.is_of(answer.headers):
            file.close()
            return answer
        answer.fp.close()
        answer.fp = io.BufferedReader(file, 1 << 20)
        return answer


def _is_large(request: Request, answer: Any) -> bool:
    """Whether it is a whole file, as it lies there, that is worth the fleet."""
    return (
        request.get_method() == "GET"
        and request.data is None
        and isinstance(answer, HTTPResponse)
        and answer.status == 200
        and (answer.length or 0) >= LARGE
        and "Content-Encoding" not in answer.headers
    )


def put(options: Mapping[str, Any] | None) -> None:
    """Have ``urlopen`` download with these options; with None, have it as it was before.

    What another program installed over ours meanwhile stays.
    """
    current: Any = urllib.request._opener  # type: ignore[attr-defined]
    before = current.before if isinstance(current, Opener) else current
    opener: Any = before if options is None else Opener(before, options)
    urllib.request.install_opener(opener)
