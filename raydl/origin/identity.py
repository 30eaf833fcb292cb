"""Which file a name means, however it is signed: what a ``.part`` file is known by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from raydl.model.weburl import is_store, redact, split
from raydl.origin.signing import without_signature


@dataclass(frozen=True)
class Identity:
    """The same for a signed URL and for its successor; it holds no secret.

    ``place`` is the name without what may be secret in it. ``query`` is a digest of what names the
    file in its query, for ``?id=1`` and ``?id=2`` are two files; empty where nothing does.
    ``mirror`` is the text of another identity, that of the mirror which was asked for the file, and
    whose validators count for its bytes. It makes no other file.
    """

    place: str
    query: str = ""
    mirror: str = field(default="", compare=False)

    @classmethod
    def of(cls, name: str) -> Identity:
        """The identity of the file that ``name`` means."""
        if is_store(name):
            store = split(name)
            return cls(f"{store.scheme}://{store.netloc}{quote(store.path)}")
        parts = urlsplit(name)
        pairs = without_signature(parse_qsl(parts.query, keep_blank_values=True))
        return cls(
            place=redact(urlunsplit(parts._replace(path=parts.path or "/"))),
            query=hashlib.sha256(repr(pairs).encode()).hexdigest() if pairs else "",
        )

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The identity with this text."""
        return cls(*text.split("#", 2))

    @property
    def asked(self) -> Identity:
        """That of the URL which was asked."""
        return Identity.parse(self.mirror) if self.mirror else self

    def __str__(self) -> str:
        """One line, as journals hold it; a place has no fragment."""
        if self.mirror:
            return f"{self.place}#{self.query}#{self.mirror}"
        return f"{self.place}#{self.query}" if self.query else self.place
