"""Whether the pieces of a file can be compared as they come; and its size, which a list knows."""

from __future__ import annotations

from raydl.cluster.address import ClusterChoice
from raydl.download.transfer import window_limit
from raydl.model.digests import Proof
from raydl.model.errors import UsageError, WrongAnswerError
from raydl.model.events import Emit, Notice
from raydl.model.item import Item
from raydl.model.pieces import Pieces
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.scheduler.plan import largest_part
from raydl.settings.options import Options


def must_have_size(size: int | None, item: Item) -> None:
    """Raise WrongAnswerError where the origin has a file of another size than the list says."""
    if item.size is not None and size not in (None, item.size):
        raise WrongAnswerError(f"the origin has {size} bytes, the list says {item.size}")


def usable_pieces(
    item: Item,
    remote: Remote,
    proof: Proof | None,
    choice: ClusterChoice,
    options: Options,
    elsewhere: bool,
    emit: Emit,
) -> Pieces | None:
    """The pieces, where each can be compared by the lane that fetched it.

    ``elsewhere``: the bytes do not come here in order. Raises UsageError where nothing else would
    show that the file is right.
    """
    pieces = item.pieces
    if pieces is None:
        return None
    why = "" if remote.ranges and remote.size is not None else remote.why_no_ranges
    most = largest_part(window_limit(choice, options))
    if not why and pieces.length > most:
        why = f"pieces of {format_size(pieces.length)} are too large for --max-memory"
    if why and options.repair:
        raise UsageError(f"no single pieces can be fetched: {why}", _hint(why))
    if proof is None and (why or elsewhere):
        why = why or "what is kept where the bytes go is not compared by pieces"
        raise UsageError(f"no digest of the whole file is known, and {why}", _hint(why))
    if why:
        emit(Notice(f"the digest of the file counts alone: {why}"))
    return None if why else pieces


def _hint(why: str) -> str:
    return "give more" if "--max-memory" in why else ""
