"""The frozen values that move between the stages."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from raydl import html
from raydl.checksum import Proof
from raydl.errors import (
    HttpError,
    NetworkError,
    OriginChangedError,
    RangesIgnoredError,
    RaydlError,
    WrongAnswerError,
)
from raydl.palette import colour
from raydl.units import counted, format_duration, format_size


def redact(url: str) -> str:
    """The URL without user, password, query and fragment: all that may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "…"
    if not parts.netloc:
        return "…"
    host = parts.netloc.rpartition("@")[2]
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


@dataclass(frozen=True)
class Access:
    """What requests go with, beside what they ask for: secrets, so nothing of it is in the repr.

    ``headers`` are names and values, credentials among them. ``ca`` are the certificates to
    trust and ``certificate`` is the client's own with its key, as PEM text; None stands for what
    the system trusts, and for no certificate. ``proxy`` is a URL, ``"none"``, or None for what
    the environment of each machine says. ``trusts_redirects``: the headers go wherever the
    origin redirects to.
    """

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ca: str | None = field(default=None, repr=False)
    certificate: str | None = field(default=None, repr=False)
    insecure: bool = field(default=False, repr=False)
    proxy: str | None = field(default=None, repr=False)
    trusts_redirects: bool = field(default=False, repr=False)


@dataclass(frozen=True)
class Source:
    """What a lane needs to ask for byte ranges: handed to threads and to actors alike.

    ``url`` is the URL after all redirects; it can hold secrets, so it is not part of the repr.
    """

    url: str = field(repr=False)
    size: int | None
    etag: str | None
    last_modified: str | None
    access: Access = Access()
    timeout: float = 30.0

    def pack(self) -> tuple[Any, ...]:
        """As plain data, which crosses Ray."""
        return astuple(self)

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Source:
        """The inverse of ``pack``."""
        url, size, etag, last_modified, access, timeout = packed
        return cls(url, size, etag, last_modified, Access(*access), timeout)


@dataclass(frozen=True)
class Remote:
    """What a probe learned about the file.

    ``size`` is in bytes, ``None`` where the origin does not say. ``ranges`` tells whether it
    serves byte ranges (RFC 9110, section 14). ``etag`` is kept only when it is strong: a weak
    one does not prove that bytes are the same (RFC 9110, section 8.8.1).
    """

    url: str = field(repr=False)
    final_url: str = field(repr=False)
    size: int | None
    ranges: bool
    etag: str | None
    last_modified: str | None
    name: str
    why_no_ranges: str = ""
    access: Access = Access()
    digest: Proof | None = None

    @property
    def validator(self) -> str | None:
        """The strong ETag, else Last-Modified, else None: how a changed file is noticed."""
        return self.etag or self.last_modified

    def to_dict(self) -> dict[str, Any]:
        """The public part as plain data, URLs without their secrets."""
        return {
            "url": redact(self.url),
            "final_url": redact(self.final_url),
            "name": self.name,
            "size": self.size,
            "ranges": self.ranges,
            "why_no_ranges": self.why_no_ranges,
            "etag": self.etag,
            "last_modified": self.last_modified,
            "digest": None if self.digest is None else str(self.digest.checksum),
        }


class Part(NamedTuple):
    """The bytes ``[start, stop)`` of the file; ``number`` counts the plan's parts from 0."""

    number: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes in this part."""
        return self.stop - self.start


@dataclass(frozen=True)
class Failure:
    """Why a lane did not deliver (all of) a part. Plain data: it crosses Ray as a tuple.

    ``kind`` is one of ``connect``, ``timeout``, ``broken`` (the connection ended early), ``tls``
    (no trust), ``status``, ``no-range``, ``changed``, ``wrong``, ``cancelled`` and ``lane`` (the
    worker itself was lost). ``retry_after`` is in seconds.
    """

    kind: str
    message: str
    status: int = 0
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same request may well succeed later.

        Statuses: 408 (RFC 9110, 15.5.9), 429 (RFC 6585, section 4) and every 5xx but 501 and
        505, which say that the request will never be served.
        """
        if self.kind == "status":
            return self.status in (408, 429) or (
                self.status >= 500 and self.status not in (501, 505)
            )
        return self.kind in ("connect", "timeout", "broken", "lane")

    def to_error(self, after: str = "") -> RaydlError:
        """The error a caller sees; ``after`` says how often it was tried."""
        message = f"{self.message}{after}"
        match self.kind:
            case "status":
                return HttpError(message, status_hint(self.status), self.status)
            case "changed":
                return OriginChangedError(message, "run the same command again to start over")
            case "no-range":
                return RangesIgnoredError(message)
            case "wrong":
                return WrongAnswerError(message)
            case "tls":
                return NetworkError(message, "check the host, the clock and the CA certificates")
            case _:
                return NetworkError(message, "run the same command again to go on from here")


def status_hint(status: int) -> str:
    """What a person can do about an HTTP error status."""
    match status:
        case 401 | 407:
            return "it wants credentials: --user, --netrc, --bearer-env or --header"
        case 403:
            return "access is refused; a signed URL may have expired"
        case 404 | 410:
            return "check the URL"
        case 408 | 429 | 500 | 502 | 503 | 504:
            return "the origin is busy; try later, or with fewer --connections"
        case _:
            return ""


@dataclass(frozen=True)
class Plan:
    """How bytes ``[start, size)`` are divided: into ``count`` parts, as even as can be, or, where
    ``count`` is None, into parts of up to ``largest`` bytes that are cut as it goes.

    Parts are computed, not stored: a plan of a 1 TiB file is as small as one of 1 MiB.
    """

    start: int
    size: int
    largest: int
    count: int | None = None
    note: str = ""

    def cut(self, number: int, start: int, wish: int) -> Part:
        """Part ``number``, which starts at ``start``, of about ``wish`` bytes if that is free.

        Cut one after the other, the parts cover every byte exactly once.
        """
        if self.count is None:
            stop = start + max(1, min(wish, self.largest))
        else:
            stop = self.start + (self.size - self.start) * (number + 1) // self.count
        return Part(number, start, min(stop, self.size))


class PartRef(NamedTuple):
    """The bytes ``[start, stop)`` as a Ray object: ``memoryview(ray.get(ref))`` has them."""

    ref: Any
    start: int
    stop: int


@dataclass(frozen=True)
class NodeShare:
    """What one machine contributed: ``bytes`` of the file, over up to ``lanes`` lanes."""

    node: str
    bytes: int
    lanes: int


@dataclass(frozen=True)
class Report:
    """A finished download.

    ``path`` is None when the bytes went to standard output. ``size``, ``fetched`` (over the
    network in this run) and ``resumed`` (kept from an earlier run) are bytes, ``seconds`` is
    wall time and ``transfer_seconds`` the time from the first request for a part to the last
    byte. ``wasted`` bytes came twice or in vain. ``digests`` maps an algorithm to the hex digest
    that was computed and compared, and ``proof`` tells where the expected one came from:
    ``given``, a file or URL, or a header of the origin. ``limit`` says which limit was met, where
    that is known.
    """

    url: str
    path: str | None
    size: int
    fetched: int = 0
    resumed: int = 0
    seconds: float = 0.0
    transfer_seconds: float = 0.0
    parts: int = 0
    retries: int = 0
    wasted: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    nodes: tuple[NodeShare, ...] = ()
    skipped: bool = False
    limit: str = ""
    proof: str = ""

    @property
    def speed(self) -> float:
        """Bytes a second over the transfer; 0 when nothing was transferred."""
        return self.fetched / self.transfer_seconds if self.transfer_seconds > 0 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the speed included."""
        return {**asdict(self), "speed": self.speed}

    def summary(self) -> str:
        """What became of it, in a line."""
        where = self.path or "standard output"
        if self.skipped:
            line = f"{where} exists, {format_size(self.size)}: skipped"
            return ", ".join((line, *(f"{algorithm} verified" for algorithm in self.digests)))
        line = f"{where}: {format_size(self.size)} in {format_duration(self.seconds)}"
        if self.fetched:
            line += f", {format_size(self.speed)}/s"
        if len(self.nodes) > 1:
            line += f", {counted(len(self.nodes), 'node')}"
        if self.resumed:
            line += f", {format_size(self.resumed)} kept from before"
        if self.retries:
            line += f", {self.retries} retries"
        for algorithm in self.digests:
            line += f", {algorithm} verified"
        return line

    def _repr_html_(self) -> str:
        """For notebooks: the summary, the digests, a bar for each node, the limit."""
        most = max((share.bytes for share in self.nodes), default=0) or 1
        return html.block(
            self.path or self.url,
            html.line(self.summary().partition(": ")[2] or self.summary()),
            *(html.line(f"{name} {digest}") for name, digest in self.digests.items()),
            html.nodes(
                html.NodeLine(
                    share.node,
                    colour(number),
                    share.bytes / most,
                    f"{format_size(share.bytes)}, {counted(share.lanes, 'lane')}",
                )
                for number, share in enumerate(self.nodes)
            ),
            html.line(self.limit) if self.limit else "",
        )
