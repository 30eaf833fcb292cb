"""Which file a name means, however it is signed: what a ``.part`` file is known by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from raydl.model.weburl import is_store, redact, split
from raydl.origin.signing import without_signature


@dataclass(frozen=True)
class Identity:
    """The same for a signed URL and for its successor; it holds no secret.

    ``place`` is the name without what may be secret in it. ``query`` is a digest of what names the
    file in its query, for ``?id=1`` and ``?id=2`` are two files; empty where nothing does.
    """

    place: str
    query: str = ""

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
        place, _, query = text.partition("#")
        return cls(place, query)

    def __str__(self) -> str:
        """One line, as journals hold it; a place has no fragment."""
        return f"{self.place}#{self.query}" if self.query else self.place
