"""The frozen values that move between the stages."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from raydl.view import html
from raydl.model.digests import Proof
from raydl.model.errors import (
    HttpError,
    NetworkError,
    OriginChangedError,
    RangesIgnoredError,
    RaydlError,
    TimedOutError,
    WrongAnswerError,
)
from raydl.view.theme import colour
from raydl.model.units import counted, format_duration, format_size


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
    ``access`` is what that URL may be shown. The other fields are those of Remote.
    """

    url: str = field(repr=False)
    size: int | None
    etag: str | None
    last_modified: str | None
    access: Access = Access()
    timeout: float = 30.0
    weak_etag: str | None = None
    weak_date: str | None = None
    media_type: str = ""
    coding: str = ""

    @property
    def version(self) -> tuple[object, ...]:
        """What two looks at the same file have in common; a date may have become strong."""
        return (self.size, self.etag, self.weak_etag, self.last_modified or self.weak_date)

    def pack(self) -> tuple[Any, ...]:
        """As plain data, which crosses Ray."""
        return astuple(self)

    @classmethod
    def unpack(cls, packed: tuple[Any, ...]) -> Source:
        """The inverse of ``pack``."""
        url, size, etag, last_modified, access, *rest = packed
        return cls(url, size, etag, last_modified, Access(*access), *rest)


@dataclass(frozen=True)
class Remote:
    """What a probe learned about the file.

    ``size`` is in bytes, ``None`` where the origin does not say. ``ranges`` tells whether it
    serves byte ranges (RFC 9110, section 14). ``etag`` and ``last_modified`` are strong validators:
    where they are the same, so are the bytes (RFC 9110, section 8.8.1). ``weak_etag`` and
    ``weak_date`` prove a change where they differ, and nothing where they do not. ``coding`` is
    the content coding in which the file lies on the origin, and in which it is saved.
    ``is_downgraded`` tells that a redirect led from https to http.
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
    digests: tuple[Proof, ...] = ()
    weak_etag: str | None = None
    weak_date: str | None = None
    media_type: str = ""
    coding: str = ""
    is_downgraded: bool = False

    @property
    def validator(self) -> str | None:
        """The strong ETag, else a strong date, else None: how a changed file is noticed."""
        return self.etag or self.last_modified

    @property
    def digest(self) -> Proof | None:
        """The strongest of the digests that the origin states."""
        return self.digests[0] if self.digests else None

    def to_dict(self) -> dict[str, Any]:
        """The public part as plain data, URLs without their secrets."""
        return {
            "url": redact(self.url),
            "final_url": redact(self.final_url),
            "name": self.name,
            "size": self.size,
            "ranges": self.ranges,
            "why_no_ranges": self.why_no_ranges,
            "etag": self.etag or (f"W/{self.weak_etag}" if self.weak_etag else None),
            "last_modified": self.last_modified or self.weak_date,
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

    ``kind`` is one of ``connect``, ``proxy``, ``timeout``, ``broken`` (the connection ended early),
    ``tls`` (no trust), ``status``, ``no-range``, ``changed``, ``wrong``, ``cancelled`` and ``lane``
    (the worker itself was lost). ``retry_after`` is in seconds.
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
        return self.kind in ("connect", "proxy", "timeout", "broken", "lane")

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
            case "proxy":
                return NetworkError(message, "check --proxy, or http_proxy and https_proxy")
            case _:
                kind = TimedOutError if self.kind == "timeout" else NetworkError
                return kind(message, "run the same command again to go on from here")


def status_hint(status: int) -> str:
    """What a person can do about an HTTP error status."""
    match status:
        case 400:
            return "check the URL: https may be what listens there"
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
    ``count`` is None, as it goes. One request is for up to ``largest`` bytes.

    Parts are computed, not stored: a plan of a 1 TiB file is as small as one of 1 MiB.
    """

    start: int
    size: int
    largest: int
    count: int | None = None
    note: str = ""

    @property
    def part_size(self) -> int:
        """Bytes in the largest part."""
        return -(-(self.size - self.start) // self.count) if self.count else self.largest

    def cut(self, number: int, start: int, wish: int) -> Part:
        """What to ask for from ``start`` on: about ``wish`` bytes, and no more than there are.

        Where the number of parts is fixed, these are a run of whole parts, or a piece of one that
        is much larger: how a file is divided costs nothing. ``number`` is used where it is not.
        Cut one after the other, all that is asked for covers every byte exactly once.
        """
        wish = max(1, min(wish, self.largest))
        if self.count is None:
            return Part(number, start, min(start + wish, self.size))
        first = self._part_at(start)
        end = self._begin_of(first + 1)
        if start + wish >= end:
            stop = self._begin_of(self._part_at(start + wish))
        else:  # what would be left over is taken along, if that is little
            stop = end if end - start <= min(1.5 * wish, self.largest) else start + wish
        return Part(first, start, stop)

    def _part_at(self, position: int) -> int:
        """The part that has this byte; one more than there are for the end."""
        assert self.count is not None
        number = min(position - self.start, self.size - self.start) * self.count
        number //= self.size - self.start
        # The beginnings are rounded down, so it may be the next one.
        return number + (number < self.count and self._begin_of(number + 1) <= position)

    def _begin_of(self, part: int) -> int:
        assert self.count is not None
        return self.start + (self.size - self.start) * part // self.count


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
            over = format_duration(self.transfer_seconds)
            if over != format_duration(self.seconds):
                line += f" over {over}"
        if len(self.nodes) > 1:
            line += f", {counted(len(self.nodes), 'node')}"
        if self.resumed:
            line += f", {format_size(self.resumed)} kept from before"
        if self.retries:
            line += f", {counted(self.retries, 'retry', 'retries')}"
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
