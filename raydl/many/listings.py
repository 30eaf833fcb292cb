"""Names that stand for many files: a repository of a hub, all that is below a prefix of a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from raydl.many import hub
from raydl.model.errors import UsageError
from raydl.model.item import Item
from raydl.model.weburl import is_hub, redact
from raydl.origin.stores import Stored, below


class Found(Protocol):
    """One of the files."""

    @property
    def path(self) -> str:
        """Relative, with slashes; as it is called there, good or bad."""

    def item(self, path: str, number: int) -> Item:
        """What a run fetches to that path."""


class Listed(Protocol):
    """What a name stands for."""

    @property
    def files(self) -> Iterable[Found]:
        """All of them."""


@dataclass(frozen=True)
class StoreFile:
    """An object below a ``prefix``."""

    prefix: str
    path: str
    size: int | None

    def item(self, path: str, number: int) -> Item:
        """What a run fetches to that path.

        No digest: a listing does not tell how an object is encrypted, and so not whether its ETag
        is one. The object's own answer does.
        """
        return Item(self.prefix + self.path, path, self.size, None, number)


@dataclass(frozen=True)
class StoreListing:
    """What is below a prefix: there may be millions of it."""

    prefix: str
    stored: tuple[Stored, ...]

    @property
    def files(self) -> Iterator[StoreFile]:
        """All of them."""
        return (StoreFile(self.prefix, path, size) for path, size in self.stored)


class Listings:
    """Lists what names stand for, each once: what ``include`` and ``exclude`` admit.

    Those are patterns such as ``*.safetensors``, for paths in the repository, or below the prefix.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include, self._exclude = include, exclude
        self._hub: dict[str, hub.Listing] = {}
        self._store: dict[str, StoreListing] = {}

    def __call__(self, name: str) -> Listed:
        """What is there. Raises RaydlError."""
        return self.hub(name) if is_hub(name) else self._below(name)

    def hub(self, name: str) -> hub.Listing:
        """What is in a repository. Raises RaydlError."""
        if name not in self._hub:
            self._hub[name] = hub.look(name, self._include, self._exclude)
        return self._hub[name]

    def _below(self, name: str) -> StoreListing:
        if name not in self._store:
            found = tuple(below(name))
            wanted = tuple(o for o in found if hub.fits(o.path, self._include, self._exclude))
            if not wanted:
                what = "there is nothing below" if not found else "the patterns fit nothing below"
                raise UsageError(f"{what} {redact(name)}", "without the / it is one object")
            self._store[name] = StoreListing(name, wanted)
        return self._store[name]
