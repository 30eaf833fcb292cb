"""fsspec's view of an origin: ``raydl::https://host/file``, wherever fsspec opens files."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from fsspec.spec import AbstractFileSystem

from raydl.api.functions import probe
from raydl.api.openfile import File, errors_of_files, open_file
from raydl.model.naming import file_name
from raydl.model.remote import Remote

BUFFER = 1 << 20


class _Buffered(io.BufferedReader):
    """Has the size that fsspec asks files for."""

    raw: File

    @property
    def size(self) -> int | None:
        return self.raw.size


class RaydlFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Files of http origins, read through the whole fleet.

    Paths are URLs: ``raydl://https://host/file``, or chained, ``raydl::https://host/file``. What
    is given as options beside fsspec's own goes to ``raydl.open``.
    """

    protocol = "raydl"
    root_marker = ""

    def __init__(
        self,
        fo: str = "",
        target_protocol: str | None = None,
        target_options: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        own = {k: options.pop(k) for k in list(options) if k in _FSSPEC}
        super().__init__(**own)
        self._fo, self._options = fo, {**(target_options or {}), **options}
        if target_protocol not in (None, "http", "https"):
            raise ValueError(f"raydl reads http and https, not {target_protocol}")

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("raydl://")

    def _url(self, path: str) -> str:
        return self._strip_protocol(path) or self._fo

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> _Buffered:
        if mode != "rb":
            raise ValueError(f"raydl reads, mode is 'rb', not {mode!r}")
        return _Buffered(self._open_raw(path), BUFFER)

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Size in bytes, type and validators. Raises FileNotFoundError and its kin."""
        remote = self._probe(path)
        return {
            "name": self._url(path),
            "size": remote.size,
            "type": "file",
            "ETag": remote.etag,
            "LastModified": remote.last_modified,
            "partial": remote.ranges,
        }

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Whether the origin has it."""
        try:
            self._probe(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """The file itself: origins list nothing."""
        return [self.info(path)] if detail else [self._url(path)]

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        """The file itself, if it is there: in a URL ``?`` and ``[`` are no wildcards."""
        found = [self._url(path)] if self.exists(path) else []
        return {url: self.info(url) for url in found} if kwargs.get("detail") else found

    def expand_path(
        self, path: str | list[str], recursive: bool = False, **kwargs: Any
    ) -> list[str]:
        """The same URLs."""
        return [self._url(one) for one in ([path] if isinstance(path, str) else path)]

    def get(self, rpath: Any, lpath: Any, recursive: bool = False, **kwargs: Any) -> None:
        """Into a file; into one of its own name where ``lpath`` is a directory."""
        if isinstance(rpath, str):
            target = os.fspath(lpath)
            if target.endswith("/") or Path(target).is_dir():
                target = str(Path(target, file_name(None, self._url(rpath))))
            rpath, lpath = [self._url(rpath)], [target]
        super().get(rpath, lpath, recursive, **kwargs)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Bytes ``[start, end)``; negative ones count from the end."""
        with self._open_raw(path) as file:
            size = file.size
            begin, stop = (
                position if position is None or position >= 0 else max(0, position + (size or 0))
                for position in (start, end)
            )
            if begin:
                file.seek(begin)
            reader = io.BufferedReader(file, BUFFER)
            return reader.read() if stop is None else reader.read(max(0, stop - (begin or 0)))

    def ukey(self, path: str) -> str:
        """What changes when the file does."""
        remote = self._probe(path)
        return f"{self._url(path)} {remote.size} {remote.validator}"

    def _open_raw(self, path: str) -> File:
        return open_file(self._url(path), self._options)

    def _probe(self, path: str) -> Remote:
        with errors_of_files(self._url(path)):
            return probe(self._url(path), **self._options)


_FSSPEC = (
    "skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths",
    "asynchronous", "loop", "batch_size",
)  # fmt: skip
