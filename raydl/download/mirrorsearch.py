"""Looks for mirrors while the download runs: each that is shown to have the same file joins."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace

from raydl.model.control import Control
from raydl.model.errors import CancelledError, RaydlError
from raydl.model.events import Event
from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.model.units import format_duration
from raydl.model.weburl import redact
from raydl.origin import Origin
from raydl.origin.access import for_strangers, presents
from raydl.origin.resolver import Located, resolve
from raydl.scheduler.inbox import Searched
from raydl.scheduler.mirrors import Mirror, agrees, objection
from raydl.settings.options import Options

SPOT = 64 << 10
SPOTS = 4
"""This many blocks are compared where no stated digest shows that two files are the same."""


LATE = 2.0
"""Times the timeout: when a mirror that has not shown by then what it has is left out."""


class MirrorSearch:
    """Asks every mirror in a thread of its own, and posts what became of each.

    ``first`` is what was found where the download was told to look; a mirror that is not shown to
    have the same file is left out, with a reason, and so is one that takes ``LATE``. Where pieces
    have digests nothing needs to be shown. Those that the origin names get nothing private.
    """

    def __init__(
        self,
        first: Located,
        options: Options,
        post: Callable[[Searched], None],
    ) -> None:
        self._first, self._post = first.remote, post
        self._are_proven = first.pieces is not None
        self._options = replace(options, retries=0)
        self._spots = _Spots(first.source)
        self._controls: list[Control] = []
        self._is_closed = False
        given = dict.fromkeys(other for other in options.mirror if other != first.name)
        self._others = [(other, self._options, first.name) for other in given]
        known = {*given, first.name, first.remote.final_url}
        strangers = for_strangers(self._options)
        named = (url for url in first.named if url not in known and not presents(url, strangers))
        self._others += [(url, strangers, url) for url in named]
        self.count = len(self._others)

    def start(self) -> None:
        """Begin; ``count`` messages follow."""
        for other, options, owner in self._others:
            control = Control()
            self._controls.append(control)
            search = threading.Thread(
                target=self._search,
                args=(other, options, owner, control),
                name="raydl-mirror",
                daemon=True,
            )
            search.start()

    def close(self) -> None:
        """End what is under way; nothing is reported any more."""
        self._is_closed = True
        for control in self._controls:
            control.cancel()

    def _search(self, other: str, options: Options, owner: str, control: Control) -> None:
        """``options`` were given for the URL ``owner``."""
        mirror, why = None, ""
        limit = LATE * self._options.timeout
        late = threading.Timer(limit, control.cancel)
        late.daemon = True
        try:
            late.start()
            found = resolve(other, options, _told_before, control, owner=owner)
            why = objection(self._first, found.remote, self._are_proven)
            if not (why or self._are_proven or agrees(self._first, found.remote)):
                why = self._spots.compare(found.source, control)
            if not why:
                mirror = Mirror(found.source, found.again)
        except CancelledError:
            why = f"it has not answered in {format_duration(limit)}"
        except RaydlError as error:
            why = error.message
        except Exception as error:  # a bug here must not leave others waiting
            why = f"unexpected {type(error).__name__}"
        finally:
            late.cancel()
        if self._is_closed:
            return
        same = "has a file of that size" if self._are_proven else "has the same file"
        fate = f"is left out: {why}" if why else f"{same}, and joins"
        self._post(Searched(mirror, f"the mirror {redact(other)} {fate}"))


class _Spots:
    """Some blocks of the first file, read once: its first, and others at random."""

    def __init__(self, source: Source) -> None:
        self._source = source
        size = source.size or 0
        starts = {0, *(random.randrange(max(1, size - SPOT)) for _ in range(SPOTS - 1))}
        self._ranges = [(start, min(size, start + SPOT)) for start in sorted(starts)]
        self._lock = threading.Lock()
        self._blocks: list[bytes] | Failure | None = None

    def compare(self, other: Source, control: Control) -> str:
        """Why ``other`` is not shown to be the same, empty where it is."""
        with self._lock:
            if self._blocks is None or isinstance(self._blocks, Failure):
                self._blocks = self._read(self._source, control)
            ours = self._blocks
        theirs = self._read(other, control)
        for blocks in (ours, theirs):
            if isinstance(blocks, Failure):
                return f"it could not be compared: {blocks.message}"
        if ours != theirs:
            return "it has other bytes"
        return ""

    def _read(self, source: Source, control: Control) -> list[bytes] | Failure:
        origin, blocks = Origin(source.access, source.timeout), []
        control.watch(origin.abort)
        try:
            for start, stop in self._ranges:
                block = bytearray(stop - start)
                at = 0
                while at < len(block):
                    view = memoryview(block)[at:]
                    got, failure = origin.read_part(source, start + at, stop, view)
                    at += got
                    control.wait(0)  # it was aborted where this raises
                    if failure is not None:
                        return failure
                    if not got:
                        return Failure("wrong", "nothing came")
                blocks.append(bytes(block))
        finally:
            origin.close()
        return blocks


def _told_before(event: Event) -> None:
    """Ignore events: warnings about credentials and trust were already shown for the main URL."""
