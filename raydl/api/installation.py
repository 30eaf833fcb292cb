"""``raydl.install``: what opens URLs by fsspec or by urllib takes the fleet, until told not to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from raydl.api import urlopener
from raydl.api.functions import quietly
from raydl.model.errors import UsageError
from raydl.origin.credentialscope import HARMLESS
from raydl.settings.options import OptionKeywords, Unpack

OF_ONE_HOST = ("user", "bearer_env", "cert", "location_trusted")
"""Options that go with a URL to its host, or beyond it."""

_lock = threading.Lock()
_installed: list[Installation] = []


class Installation:
    """What ``install`` returns: a context manager that undoes this ``install`` at its end."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with _lock:
            if self in _installed:
                _installed.remove(self)
                _put()


def install(**options: Unpack[OptionKeywords]) -> Installation:
    """Have libraries fetch large files through raydl, in this process, until ``uninstall``.

    ``http`` and ``https`` of fsspec (pyarrow, dask, xarray, zarr, datasets) and
    ``urllib.request.urlopen`` (pandas, ``torch.hub``): files of 16 MiB and more are fetched by
    every node of the cluster, or over several connections of this machine; smaller ones with the
    same requests as before. It takes the options of ``fetch``, except credentials of one host,
    which would be shown to every host that a library asks. Give those with the library's call
    (``headers=``), in the URL, or in ~/.netrc. As a context manager it ends with the block. The
    latest call counts. Raises UsageError.

        >>> with raydl.install(connections=8):
        ...     with urllib.request.urlopen(url) as answer:
        ...         len(answer.read())
        5000000
    """
    chosen: dict[str, Any] = dict(options)
    parsed = quietly(options)
    private = [name for name in OF_ONE_HOST if getattr(parsed, name)]
    if private or any(name.lower() not in HARMLESS for name, _ in parsed.header):
        raise UsageError(
            f"{private[0] if private else 'header'} would be shown to every host that is asked",
            "give it with the library's call, in the URL, or in ~/.netrc",
        )
    if parsed.header:
        chosen["header"] = dict(parsed.header)
    made = Installation(chosen)
    with _lock:
        _installed.append(made)
        _put()
    return made


def uninstall() -> None:
    """Undo every ``install``: libraries open URLs as before. Does nothing if there is none.

    >>> raydl.uninstall()
    """
    with _lock:
        _installed.clear()
        _put()


def _put() -> None:
    """Make what is installed what urllib and fsspec find."""
    options = _installed[-1].options if _installed else None
    urlopener.put(options)
    try:
        from raydl.api import httpfiles
    except ImportError:  # no fsspec, or no aiohttp, without which it opens no URLs
        return
    httpfiles.put(options)
