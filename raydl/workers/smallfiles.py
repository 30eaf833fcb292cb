"""Small files, many of them with one call: fetched whole, verified, and put where they belong.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from raydl.model.digests import Checksum, Hash, Proof, new_hash_of
from raydl.model.errors import RaydlError
from raydl.model.failure import Failure
from raydl.model.remote import Access, Remote, Source
from raydl.origin import Origin
from raydl.origin.credentialscope import is_same_origin
from raydl.origin.faults import OriginFailure
from raydl.origin.upload import Uploader
from raydl.output.ledger import Known
from raydl.output.newfile import NewFile
from raydl.workers.puts import Uploaders
from raydl.workers.smallputs import SmallPuts

FIRST = 1 << 20
"""Bytes that the first request asks for: it brings a smaller file whole."""

LARGEST = 16 << 20
"""Bytes of a file that is fetched by one lane, one range after the other."""

MOST_KEPT = 32 << 20
"""Bytes of files without a target, after which no other one is begun."""

DONE, LARGE, SAME, FAILED, UNASKED = "done", "large", "same", "failed", "unasked"

Outcome = tuple[Any, ...]
"""What became of a file, as plain data: DONE with the fields of a Brought, LARGE with its size or
None, SAME where it has not changed, FAILED with the fields of a Failure, or with the class, message
and hint of an error of ours, or UNASKED."""


class Request(Protocol):
    """A connection, and what counts the bytes that come over it."""

    origin: Origin

    def sending(self, uploader: Uploader) -> contextlib.AbstractContextManager[None]:
        """See ``Stoppable``."""

    def tally(self, count: int) -> None:
        """So many bytes more came."""


Lend = Callable[[Access, float, int], "contextlib.AbstractContextManager[Request | None]"]


class Brought(NamedTuple):
    """A file that came. ``size`` in bytes, of which ``kept`` were there before, ``written`` when
    (ns, 0 where it was not), ``digest`` is the one that was compared, as text, and ``proof`` says
    where it is from: it is empty where nothing was compared."""

    size: int
    written: int
    name: str
    etag: str | None
    last_modified: str | None
    digest: str
    proof: str
    seconds: float
    kept: int = 0

    @property
    def known(self) -> Known:
        """What a ledger keeps of it."""
        return Known(self.size, self.written, self.etag, self.last_modified, self.digest, "")


class Wish(NamedTuple):
    """A file to fetch: to the path ``target``, None to give its bytes back.

    ``digest`` is the one it must have, as text; ``stated``: else the one that the origin states
    counts. ``size`` is what the list says. For ``overwrite``, ``stamp``
    and ``may_be_there`` see ``NewFile``. ``etag`` and ``last_modified`` are what it had before,
    where only a change is to be fetched.
    """

    url: str
    target: str | None
    digest: str
    stated: bool
    size: int | None
    overwrite: bool
    stamp: tuple[int, int] | None = None
    may_be_there: bool = False
    etag: str | None = None
    last_modified: str | None = None
    put: tuple[str, str, str] | None = None
    """A signed URL to send it to, a secret, instead of a target; what messages call that; and,
    where something is to be replaced there, one to see what that is."""
    replaces: str = ""
    """What of what is there may be replaced by that; see ``condition``."""
    seal: int | None = None
    """What the file's time of writing is to show; see ``NewFile``."""
    by_digest: bool = False
    """Whether the bytes' own digest counts as their version where the origin tells none."""


def new_file(wish: Wish) -> NewFile:
    """The file that it is to be. Raises OutputError."""
    assert wish.target is not None
    return NewFile(wish.target, wish.overwrite, wish.stamp, wish.may_be_there, wish.seal)


class _Sink:
    """Where the bytes of one file go: into a file, or behind those of the ones before."""

    def __init__(self, wish: Wish, kept: bytearray, send: Callable[[memoryview], int]) -> None:
        self._send = None if wish.put is None else send
        self._kept = kept if self._send is None else bytearray()
        self._before = len(self._kept)
        self._file = None if wish.target is None else new_file(wish)

    def write(self, data: memoryview) -> None:
        if self._file is None:
            self._kept += data
        else:
            self._file.write(data)

    def publish(self) -> int:
        """When it was written; 0 where it is no file."""
        if self._send is not None:
            return self._send(memoryview(self._kept))
        return 0 if self._file is None else self._file.publish()[1]

    def drop(self) -> None:
        """It is not to be."""
        if self._send is None:
            del self._kept[self._before :]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class SmallFiles:
    """Fetches files one after the other, in as many threads as call."""

    def __init__(self, lend: Lend, uploaders: Uploaders | None = None) -> None:
        self._lend = lend
        self._uploads = SmallPuts(uploaders or Uploaders())
        self._buffers = threading.local()

    def fetch(
        self,
        source: Source,
        ticket: int,
        wishes: Sequence[Wish],
        pace: float,
        kept: bytearray,
        ca: str | None = None,
    ) -> list[Outcome]:
        """An outcome for each of ``wishes``, which are of one origin; in their order.

        ``source`` is what each is asked with. A request begins ``pace`` seconds after the one
        before, at least, and the first one so long after the call: the lane may have asked before.
        The bytes of files without a target are appended to ``kept``. Where the origin wants fewer
        requests, or cannot be reached, the rest is not asked for. Where files are to be sent,
        ``ca`` are the certificates (PEM) to trust.
        """
        outcomes: list[Outcome] = []
        with self._lend(source.access, source.timeout, ticket) as request:
            next_at = time.monotonic() + pace
            for wish in wishes:
                if pace:
                    time.sleep(max(0.0, next_at - time.monotonic()))
                    next_at = time.monotonic() + pace
                if request is None or request.origin.aborted or len(kept) > MOST_KEPT:
                    break
                outcome = self._one(request, source.timeout, wish, kept, ca)
                outcomes.append(outcome)
                if outcome[0] == FAILED and _ends_all(outcome[1], outcome[3]):
                    break
        return outcomes + [(UNASKED,)] * (len(wishes) - len(outcomes))

    def _one(
        self, request: Request, timeout: float, wish: Wish, kept: bytearray, ca: str | None
    ) -> Outcome:
        try:
            return self._fetch(request, timeout, wish, kept, ca)
        except OriginFailure as error:
            failure = error.failure
            return (FAILED, failure.kind, failure.message, failure.status, failure.retry_after)
        except RaydlError as error:
            return (FAILED, "error", type(error).__name__, error.message, error.hint)
        except Exception as error:  # a bug ends this file, and not the others
            return (FAILED, "wrong", f"unexpected {type(error).__name__}: {error}", 0, None)

    def _fetch(
        self, request: Request, timeout: float, wish: Wish, kept: bytearray, ca: str | None
    ) -> Outcome:
        began = time.monotonic()
        buffer = self._buffer()
        known = _conditions(wish)
        remote, got = request.origin.read_small(wish.url, buffer, known, request.tally)
        if remote is None:
            return (SAME,)
        if remote.size is not None:
            _must_be(remote.size, wish)
        is_whole = got == remote.size
        whole: memoryview | None = None
        if not is_whole and not _may_go_on(wish.url, remote):
            # Where its bytes are to go with those of others, one stream of it can be taken here.
            if wish.target is None and (remote.size is None or remote.size <= LARGEST):
                whole = _stream(request, wish.url, remote, timeout)
            if whole is None:
                return (LARGE, remote.size)
            _must_be(whole.nbytes, wish)
            remote = replace(remote, size=whole.nbytes)
        proof = _proof(wish, remote)
        algorithm = _algorithm(wish, remote, proof)
        digest = new_hash_of(algorithm, remote.size or 0) if algorithm else None

        def send(data: memoryview) -> int:
            assert wish.put is not None
            may_be_there, kind = wish.may_be_there, remote.media_type or ""
            return self._uploads.send(
                wish.put, data, kind, wish.replaces, may_be_there, timeout, ca, request
            )

        sink = _Sink(wish, kept, send)
        try:
            pieces = _pieces(request, remote, timeout, buffer, got)
            for piece in pieces if whole is None else (whole,):
                if digest is not None:
                    digest.update(piece)
                sink.write(piece)
            if proof is not None:
                _verify(proof, digest, wish.target or (wish.put[1] if wish.put else remote.name))
            written = sink.publish()
        except BaseException:
            sink.drop()
            raise
        finally:
            sink.close()
        assert remote.size is not None
        brought = Brought(
            remote.size,
            written,
            remote.name,
            remote.etag,
            remote.last_modified,
            "" if digest is None else f"{algorithm}:{digest.hexdigest()}",
            proof.where if proof else "",
            time.monotonic() - began,
        )
        return (DONE, *brought)

    def _buffer(self) -> memoryview:
        buffer: memoryview | None = getattr(self._buffers, "view", None)
        if buffer is None:
            buffer = self._buffers.view = memoryview(bytearray(FIRST))
        return buffer


def _ends_all(kind: str, status: Any) -> bool:
    """Whether the next file would only fail in the same way, and make it worse."""
    return kind in ("connect", "proxy", "timeout") or (kind == "status" and status in (429, 503))


def _conditions(wish: Wish) -> dict[str, str] | None:
    """RFC 9110, section 13.1: the ETag goes before the date."""
    if wish.etag is not None:
        return {"If-None-Match": wish.etag}
    if wish.last_modified is not None:
        return {"If-Modified-Since": wish.last_modified}
    return None


def _may_go_on(url: str, remote: Remote) -> bool:
    """Whether the rest can be asked for here, and be known to be of the same file.

    Not where a redirect led elsewhere: what this connection presents is for the first host.
    """
    return is_same_origin(url, remote.final_url) and (
        remote.size is not None
        and remote.size <= LARGEST
        and remote.ranges
        and remote.validator is not None
    )


def _proof(wish: Wish, remote: Remote) -> Proof | None:
    if wish.digest:
        return Proof(Checksum(*wish.digest.split(":", 1)), "given")
    return remote.digest if wish.stated else None


def _algorithm(wish: Wish, remote: Remote, proof: Proof | None) -> str:
    """Of the digest to compute, if any."""
    if proof is not None:
        return proof.checksum.algorithm
    return "sha256" if wish.by_digest and remote.validator is None else ""


def _verify(proof: Proof, digest: Hash | None, what: str) -> None:
    assert digest is not None
    proof.verify(digest.hexdigest(), what)


def _must_be(size: int, wish: Wish) -> None:
    """Raise OriginFailure where the list says another size."""
    if wish.size not in (None, size):
        what = f"the origin has {size} bytes, the list says {wish.size}"
        raise OriginFailure(Failure("wrong", what))


class _TooLargeError(Exception):
    """It goes on after LARGEST."""


def _stream(request: Request, url: str, remote: Remote, timeout: float) -> memoryview | None:
    """All of the file, asked for anew; None where it is too large. Raises OriginFailure."""
    data, buffer = bytearray(), memoryview(bytearray(FIRST))

    def give(count: int) -> None:
        request.tally(count)
        if len(data) + count > LARGEST:
            raise _TooLargeError
        data.extend(buffer[:count])

    source = replace(remote.source(timeout), url=url)
    try:
        failure = request.origin.read_whole(source, lambda: buffer, give)
    except _TooLargeError:
        return None
    if failure is not None:
        raise OriginFailure(failure)
    return memoryview(data)


def _pieces(
    request: Request, remote: Remote, timeout: float, buffer: memoryview, got: int
) -> Iterator[memoryview]:
    """The first ``got`` bytes, which are there, and all others. Raises OriginFailure."""
    yield buffer[:got]
    size = remote.size or 0
    source = remote.source(timeout)
    while got < size:
        stop = min(size, got + buffer.nbytes)
        count, failure = request.origin.read_part(source, got, stop, buffer, request.tally)
        if failure is not None:
            raise OriginFailure(failure)
        got += count
        yield buffer[:count]
