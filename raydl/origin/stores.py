"""Object stores, by fsspec's file systems: what is below a prefix, and URLs that expire.

Credentials, endpoints and regions are found as the file systems always do (``AWS_*``, ``GOOGLE_*``,
``AZURE_STORAGE_*``, their files, fsspec's own settings), by this process alone: lanes get URLs that
are signed for one object and for a time. Texts of foreign errors are not passed on: they may have
URLs in them.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import quote, unquote, urlsplit

from requests.structures import CaseInsensitiveDict

from raydl.model.digests import Proof
from raydl.model.errors import HttpError, NetworkError, RaydlError, TimedOutError, UsageError
from raydl.model.weburl import check_url, is_many, is_store, redact, split
from raydl.origin.digestheaders import stated_digests
from raydl.origin.headers import strong_etag
from raydl.settings.options import Options

SIGNED_SECONDS = 3600
"""How long a URL is good; it is signed right before it is used, and anew where it has expired."""

LONGEST_ANSWER = 60.0
"""Seconds. Signing may ask: S3 for a bucket's region, Google for credentials and signatures."""

T = TypeVar("T")


class Kind(NamedTuple):
    """A store: the library that brings its file system, what that is made with, what to say."""

    library: str
    options: dict[str, Any]
    credentials: str


_ALWAYS = {"skip_instance_cache": True, "use_listings_cache": False}

KINDS = {
    "s3": Kind(
        "s3fs",
        # A URL has to be signed for the bucket's region, and in the way that all regions know.
        {"cache_regions": True, "config_kwargs": {"signature_version": "s3v4"}},
        "AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ),
    "gs": Kind("gcsfs", {}, "GOOGLE_APPLICATION_CREDENTIALS, of a service account, which can sign"),
    "az": Kind("adlfs", {}, "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"),
}


class Stored(NamedTuple):
    """An object: its name is the prefix and, below that, the ``path``.

    ``size`` is None where that is not what a GET brings.
    """

    path: str
    size: int | None


def signed(name: str) -> tuple[str, None]:
    """A URL for the object with that name, good for SIGNED_SECONDS. Raises RaydlError.

    The URL is a secret. It is good for GET alone, which HEAD is not.
    """
    parts, path = _place(name)
    if is_many(name):
        raise UsageError(f"{redact(name)} is all that is below", "many files go to a directory")
    if not parts.path:
        raise UsageError(f"{redact(name)} names no object", f"{redact(name)}/ is all that is in it")
    pieces = parts.path[1:].split("/")
    if not pieces[0] or {".", ".."} & set(pieces):
        raise UsageError(f"{redact(name)} cannot be asked for: of a URL that is another path")
    url = _asked(name, lambda system: system.sign(path), LONGEST_ANSWER)
    # Libraries take what follows some characters for a version, or drop it.
    if not unquote(urlsplit(url).path).endswith(parts.path):
        raise UsageError(
            f"{redact(name)} cannot be named to {KINDS[parts.scheme].library}",
            "versions of objects cannot be fetched",
        )
    return url, None


def below(name: str) -> Iterator[Stored]:
    """All objects below a prefix, by the order of their names. Raises RaydlError."""
    _, path = _place(name)
    found: dict[str, dict[str, Any]] = _asked(name, lambda system: system.find(path))
    for full in sorted(found):
        info = found[full]
        # A marker of a directory: it is empty, and is called like one.
        is_marker = full.endswith("/") and not info.get("size")
        if full.startswith(path) and info.get("type") != "directory" and not is_marker:
            # Of what is packed, Google's store sends what was packed (docs: "Transcoding of
            # gzip-compressed files").
            size = None if info.get("contentEncoding") else info.get("size")
            yield Stored(full.removeprefix(path), size)


def stated(name: str, etag: str | None) -> tuple[Proof, ...]:
    """The digests that S3 keeps of an object with that ETag, which it tells who asks for them.

    Nothing where it does not tell: that is no reason to do without the object.
    """
    parts = split(name)
    if parts.scheme != "s3" or etag is None:
        return ()
    try:
        headers = _question("s3", lambda system: system.told(parts.netloc, parts.path[1:]))
    except Exception:
        return ()
    is_same = strong_etag(headers.get("ETag")) == etag
    return stated_digests(headers, is_whole=False) if is_same else ()


def options_for(name: str, options: Options) -> Options:
    """The options for requests to a store; those for other names stay as they are.

    A URL that is signed wants no Authorization beside that, which a netrc file may have for any
    host. Where no certificates are given, those of S3's own setting are trusted.
    """
    if not is_store(name):
        return options
    bundle = os.environ.get("AWS_CA_BUNDLE") if split(name).scheme == "s3" else None
    return replace(options, netrc="none", cacert=options.cacert or bundle or None)


def refused(name: str, error: HttpError) -> RaydlError:
    """The error for a store's answer, with what a person can do."""
    if error.status == 404:
        error.hint = "check bucket and key; a name that ends in / is all that is below"
    elif error.status in (400, 401, 403, 409):
        if error.status in (401, 403) and _is_anonymous(name):
            return _no_credentials(name)
        error.hint = _what_may_be(name)
    return error


def _no_credentials(name: str) -> UsageError:
    return UsageError(
        f"there are no credentials for {redact(name)}, which not everybody may read",
        f"credentials are {KINDS[split(name).scheme].credentials}",
    )


def _is_anonymous(name: str) -> bool:
    system = _systems.get((os.getpid(), split(name).scheme))
    return system is not None and system.is_anonymous


def _what_may_be(name: str) -> str:
    return (
        "it may not be read with these credentials, or is not there, or this machine's clock is "
        f"wrong; credentials are {KINDS[split(name).scheme].credentials}"
    )


def _place(name: str) -> tuple[Any, str]:
    """The parts of a name, and the path that file systems know it by."""
    check_url(name)
    parts = split(name)
    return parts, parts.netloc + parts.path


class _System:
    """A file system of fsspec's."""

    def __init__(self, scheme: str, **options: Any) -> None:
        import fsspec

        self._scheme, self.is_anonymous = scheme, bool(options)
        self._patience = {"timeout": LONGEST_ANSWER} if scheme == "s3" else {}
        self._files = fsspec.filesystem(scheme, **_ALWAYS, **KINDS[scheme].options, **options)

    def sign(self, path: str) -> str:
        """Raises whatever there is."""
        try:
            return str(self._files.sign(path, expiration=SIGNED_SECONDS, **self._patience))
        except Exception:
            # Without a key of its own nobody can sign, and what is public needs no signature. The
            # file system of S3 makes such a URL itself once it is told.
            if self._scheme == "gs":
                return str(self._files.url(path))
            if self._scheme == "az":
                return f"{self._files.account_url}/{quote(path)}"
            raise

    def told(self, bucket: str, key: str) -> CaseInsensitiveDict[str]:
        """The headers of an answer of S3 that has digests. Raises whatever there is."""
        what = {"Bucket": bucket, "Key": key, "ChecksumMode": "ENABLED"}
        answer = self._files.call_s3("head_object", **what, **self._patience)
        return CaseInsensitiveDict(answer["ResponseMetadata"]["HTTPHeaders"])

    def find(self, path: str) -> dict[str, dict[str, Any]]:
        """All files below, by their names. Raises whatever there is."""
        return dict(self._files.find(path, detail=True))


_systems: dict[tuple[int, str], _System] = {}
_locks = {scheme: threading.Lock() for scheme in KINDS}
"""One each: a file system that asks for credentials as it is made may take long."""


def _asked(name: str, question: Callable[[_System], T], longest: float | None = None) -> T:
    """The answer, which may take so many seconds; foreign errors become ours."""
    scheme = split(name).scheme
    try:
        return _within(longest, lambda: _question(scheme, question))
    except ImportError:
        library = KINDS[scheme].library
        raise UsageError(f"{scheme}:// needs {library}", f"pip install {library}") from None
    except Exception as error:
        raise _translated(name, error) from None


def _within(longest: float | None, call: Callable[[], T]) -> T:
    """What that returns or raises; one that takes longer is left alone.

    Not every library can be told how long to wait.
    """
    if longest is None:
        return call()
    answer: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

    def work() -> None:
        try:
            found = call()
            answer.put(lambda: found)
        except BaseException as error:
            answer.put(partial(_raise, error))

    threading.Thread(target=work, name="raydl-store", daemon=True).start()
    try:
        take = answer.get(timeout=longest)
    except queue.Empty:
        raise TimeoutError from None
    return take()


def _raise(error: BaseException) -> NoReturn:
    raise error


def _question(scheme: str, question: Callable[[_System], T]) -> T:
    """The answer of the file system, which is one for the process: it is slow to make.

    Raises whatever there is.
    """
    key = os.getpid(), scheme
    with _locks[scheme]:
        system = _systems.get(key) or _systems.setdefault(key, _System(scheme))
    try:
        return question(system)
    except Exception as error:
        if type(error).__name__ != "NoCredentialsError" or system.is_anonymous:
            raise
    with _locks[scheme]:
        system = _systems[key] = _System(scheme, anon=True)
    return question(system)


def forget() -> None:
    """Look for credentials and endpoints anew, the next time."""
    _systems.clear()


def _translated(name: str, error: Exception) -> RaydlError:
    where, word = redact(name), type(error).__name__
    if isinstance(error, RaydlError):
        return error
    if isinstance(error, FileNotFoundError):
        return HttpError(f"there is no {where}", "check the bucket", 404)
    if isinstance(error, PermissionError):
        return refused(name, HttpError(f"access to {where} is refused", status=403))
    if isinstance(error, TimeoutError) or "Timeout" in word:
        return TimedOutError(f"the store did not answer for {where}", "try later")
    if isinstance(error, OSError) or any(part in word for part in ("Connect", "HTTP", "Request")):
        return NetworkError(
            f"the store cannot be asked for {where}: {word}", "check the network and the endpoint"
        )
    credentials = KINDS[split(name).scheme].credentials
    return UsageError(f"{where} cannot be used: {word}", f"credentials are {credentials}")
