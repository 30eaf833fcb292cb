"""What ``raydl.install`` makes of fsspec's ``http`` and ``https``: large files take the fleet."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from fsspec import get_filesystem_class, register_implementation
from fsspec.callbacks import NoOpCallback
from fsspec.implementations.http import HTTPFileSystem, get_client
from fsspec.spec import make_instance

from raydl.api.functions import read, start, stream
from raydl.api.openfile import open_file
from raydl.download.reader import LARGE
from raydl.model.errors import HttpError, NetworkError, RaydlError, WrongAnswerError
from raydl.model.events import Event, Progress

AT_ONCE = 4
"""Large files that one file system has fetched at a time: each is worth the whole fleet."""

PLAIN = {"headers", "trust_env"}
"""What a session of aiohttp can be given and raydl does the same with; with more than that
(``auth``, ``cookies``, a connector) files are left to fsspec."""

NOBODY = NoOpCallback()
"""Is told how far it is where nobody asked."""

NOT_FOR_RAYDL = (HttpError, NetworkError, WrongAnswerError)
"""An origin may answer raydl otherwise than fsspec, whose cookies, proxy and name differ."""

Value = TypeVar("Value")


class _Chosen(type(HTTPFileSystem)):  # type: ignore[misc]
    """Makes what was installed an argument of each instance, which so takes it along when it is
    pickled, and is another one after ``install`` with other options. Its ``storage_options`` do not
    have it: programs make fsspec's own file system of these elsewhere."""

    options: Mapping[str, Any] = {}

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **{"raydl": dict(cls.options), **kwargs})
        made.storage_options = {k: v for k, v in made.storage_options.items() if k != "raydl"}
        return made


class HTTPFiles(HTTPFileSystem, metaclass=_Chosen):  # type: ignore[misc]
    """fsspec's own file system for HTTP, but that 16 MiB and more come through ``raydl``.

    ``raydl`` are options as ``raydl.fetch`` takes them. Listings, what is asked about a file,
    uploads, and small files and ranges are fsspec's, in as many requests. So is what the origin
    does not give to raydl.
    """

    def __init__(self, *args: Any, raydl: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._chosen = dict(raydl or {})
        # Not the loop's own threads: there names of hosts are looked up.
        self._threads = ThreadPoolExecutor(AT_ONCE, "raydl-files")

    def __reduce__(self) -> Any:
        options = {**self.storage_options, "raydl": self._chosen}
        return make_instance, (type(self), self.storage_args, options)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool | None = None,
        cache_type: str | None = None,
        cache_options: dict[str, Any] | None = None,
        size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Who wants one of fsspec's caches or blocks gets them."""
        fleet = self._fleet(kwargs)
        is_plain = block_size is None and cache_type is None and cache_options is None
        if mode == "rb" and is_plain and not size and fleet is not None:
            found = self.info(path, **kwargs)
            if found.get("partial", True):  # else fsspec asks again, or would not know of it
                size = found["size"]
                if size is not None and size >= LARGE:
                    with contextlib.suppress(RaydlError, OSError):
                        return _File.at(self, path, kwargs, open_file(path, fleet), found)
        return super()._open(
            path, mode, block_size, autocommit, cache_type, cache_options, size, **kwargs
        )

    async def _cat_file(
        self, url: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        fleet = self._fleet(kwargs)
        if fleet is None:
            return await self._cat_by_fsspec(url, start, end, kwargs)
        if start is not None or end is not None:
            if start is None or end is None or start < 0 or end - start < LARGE:
                return await self._cat_by_fsspec(url, start, end, kwargs)
            with contextlib.suppress(*NOT_FOR_RAYDL, OSError):
                return await self._in_thread(_range, url, start, end, fleet)
            return await self._cat_by_fsspec(url, start, end, kwargs)
        async with await self._asked(url, kwargs) as answer:
            if not _is_large(answer):
                return await answer.read()  # type: ignore[no-any-return]
        with contextlib.suppress(*NOT_FOR_RAYDL):
            return await self._in_thread(lambda: read(url, **fleet))
        return await self._cat_by_fsspec(url, None, None, kwargs)

    async def _cat_by_fsspec(
        self, url: str, start: int | None, end: int | None, kwargs: dict[str, Any]
    ) -> bytes:
        return await super()._cat_file(url, start, end, **kwargs)  # type: ignore[no-any-return]

    async def _get_file(
        self,
        rpath: str,
        lpath: Any,
        chunk_size: int = 5 << 20,
        callback: Any = NOBODY,
        **kwargs: Any,
    ) -> None:
        fleet = self._fleet(kwargs)
        if fleet is None or not isinstance(lpath, str | os.PathLike):
            await super()._get_file(rpath, lpath, chunk_size, callback, **kwargs)
            return
        async with await self._asked(rpath, kwargs) as answer:
            if not _is_large(answer):
                callback.set_size(answer.content_length)
                with Path(lpath).open("wb") as file:
                    async for data in answer.content.iter_chunked(chunk_size):
                        file.write(data)
                        callback.relative_update(len(data))
                return
            callback.set_size(answer.content_length)
        save = _write if os.path.lexists(lpath) else _save
        with contextlib.suppress(*NOT_FOR_RAYDL):
            await self._in_thread(save, rpath, str(Path(lpath).absolute()), fleet, callback)
            return
        callback.absolute_update(0)
        await super()._get_file(rpath, lpath, chunk_size, callback, **kwargs)

    async def _asked(self, url: str, kwargs: dict[str, Any]) -> Any:
        """The answer to the request that fsspec sends, which for a small file is all there is."""
        session = await self.set_session()
        answer = await session.get(self.encode_url(url), **{**self.kwargs, **kwargs})
        try:
            self._raise_not_found_for_status(answer, url)
        except BaseException:
            answer.close()
            raise
        return answer

    def _fleet(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """The options with which raydl sends what aiohttp would send; None where it can not."""
        per_request = {**self.kwargs, **asked}
        if (
            set(per_request) - {"headers"}
            or set(self.client_kwargs) - PLAIN
            or self.get_client is not get_client
        ):
            return None
        headers = {
            **(self.client_kwargs.get("headers") or {}),
            **(per_request.get("headers") or {}),
        }
        chosen = dict(self._chosen)
        return {**chosen, "header": {**chosen.get("header", {}), **headers}} if headers else chosen

    async def _in_thread(self, call: Callable[..., Value], *args: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)


class _File(io.BufferedReader):
    """A large file, with what programs ask files of fsspec for; it can be pickled, and is opened
    again where it arrives."""

    fs: HTTPFiles
    path: str
    size: int
    details: dict[str, Any]
    _kwargs: dict[str, Any]

    @classmethod
    def at(
        cls, fs: HTTPFiles, path: str, kwargs: dict[str, Any], raw: Any, details: dict[str, Any]
    ) -> _File:
        """The file that ``raw`` reads."""
        file = cls(raw, 1 << 20)
        file.fs, file.path, file.size, file.details = fs, path, details["size"], details
        file._kwargs = kwargs
        return file

    def __reduce__(self) -> Any:
        return _reopened, (self.fs, self.path, self._kwargs, self.tell())


def _reopened(fs: HTTPFiles, path: str, kwargs: dict[str, Any], position: int) -> Any:
    file = fs.open(path, **kwargs)
    file.seek(position)
    return file


def _is_large(answer: Any) -> bool:
    """Whether it is worth to let go of that answer and have the fleet ask."""
    size = answer.content_length
    return size is not None and size >= LARGE and "Content-Encoding" not in answer.headers


def _range(url: str, begin: int, end: int, options: dict[str, Any]) -> bytes:
    with open_file(url, options) as raw:
        raw.seek(begin)
        return io.BufferedReader(raw, 1 << 20).read(end - begin)


def _save(url: str, path: str, options: dict[str, Any], callback: Any) -> None:
    def told(event: Event) -> None:
        if isinstance(event, Progress):
            callback.absolute_update(event.fetched)

    options = {"progress": "none", "overwrite": True, **options}
    start(url, path, on_event=told, **options).result()


def _write(url: str, path: str, options: dict[str, Any], callback: Any) -> None:
    """Into the file that is there, which others may have open, link to, or read the end of."""
    with Path(path).open("wb") as file:
        for data in stream(url, **options):
            file.write(data)
            callback.relative_update(len(data))


_before: dict[str, Any] = {}


def put(options: Mapping[str, Any] | None) -> None:
    """Have fsspec take ``HTTPFiles`` with these options; with None, what it took before.

    What another program registered over ours meanwhile stays.
    """
    for scheme in ("http", "https"):
        current = get_filesystem_class(scheme)
        if options is not None and current is not HTTPFiles:
            _before[scheme] = current
            register_implementation(scheme, HTTPFiles, clobber=True)
        elif options is None and current is HTTPFiles:
            register_implementation(scheme, _before.pop(scheme), clobber=True)
    HTTPFiles.options = options or {}
    if options is None:
        HTTPFiles.clear_instance_cache()
