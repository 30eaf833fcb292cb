"""What is known of a file on an origin, and what requests for it go with."""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, replace
from typing import Any

from raydl.model.digests import Proof
from raydl.model.pieces import Pieces
from raydl.model.units import format_size
from raydl.model.weburl import redact


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
    ``access`` is what that URL may be shown. ``name`` is what the file is called. ``pieces`` are
    those of which each has to be right before its bytes count. The other fields are those of
    Remote.
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
    name: str = ""
    pieces: Pieces | None = None

    @property
    def version(self) -> tuple[object, ...]:
        """What two looks at the same file have in common; a date may have become strong."""
        return (self.size, self.etag, self.weak_etag, self.last_modified or self.weak_date)

    def pack(self) -> tuple[tuple[Any, ...], str | None]:
        """As plain data, which crosses Ray: all but the certificates to trust, and these.

        They go apart because they may be large: an argument above 100 KB lies in Ray's object
        store (``max_direct_call_object_size``), where other programs can read it.
        """
        access = replace(self.access, ca=None)
        return astuple(replace(self, access=access)), self.access.ca

    @classmethod
    def unpack(cls, packed: tuple[Any, ...], ca: str | None) -> Source:
        """The inverse of ``pack``."""
        url, size, etag, last_modified, access, *rest, pieces = packed
        source = cls(url, size, etag, last_modified, replace(Access(*access), ca=ca), *rest)
        return replace(source, pieces=Pieces.unpack(pieces))


@dataclass(frozen=True)
class Remote:
    """What a probe learned about the file.

    ``size`` is in bytes, ``None`` if the origin does not say. ``ranges`` says whether it serves
    byte ranges (RFC 9110, section 14). ``etag`` and ``last_modified`` are strong validators: if
    they are the same, so are the bytes (RFC 9110, section 8.8.1). ``weak_etag`` and ``weak_date``
    prove a change if they differ, and nothing if they do not. ``coding`` is the content coding in
    which the origin stores the file, and in which it is saved. ``is_downgraded``: whether a
    redirect led from https to http. ``mirrors`` are other URLs of the file that the origin names,
    the best first.
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
    mirrors: tuple[str, ...] = field(default=(), repr=False)

    @property
    def validator(self) -> str | None:
        """The strong ETag, else a strong date, else None: how a changed file is noticed."""
        return self.etag or self.last_modified

    @property
    def digest(self) -> Proof | None:
        """The strongest of the digests that the origin states."""
        return self.digests[0] if self.digests else None

    def source(self, timeout: float) -> Source:
        """What lanes need to ask for byte ranges of it."""
        return Source(
            url=self.final_url,
            size=self.size,
            etag=self.etag,
            last_modified=self.last_modified,
            access=self.access,
            timeout=timeout,
            weak_etag=self.weak_etag,
            weak_date=self.weak_date,
            media_type=self.media_type,
            coding=self.coding,
            name=self.name,
        )

    def __str__(self) -> str:
        size = "size unknown" if self.size is None else format_size(self.size)
        ranges = "byte ranges" if self.ranges else f"no byte ranges ({self.why_no_ranges})"
        parts = [size, ranges, f"version {self.validator}" if self.validator else "no version"]
        parts += [str(self.digest.checksum)] if self.digest else []
        return f"{self.name}: {', '.join(parts)}"

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
