"""What an earlier run left in the ``.part`` file: whether to go on from it, and why not."""

from __future__ import annotations

from pathlib import Path

from raydl.model.errors import TargetError, WrongAnswerError
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.origin import PAGE
from raydl.origin.identity import Identity
from raydl.output.journal import Journal
from raydl.output.owner import is_alive, meeting_place, written_by_another
from raydl.output.partfile import PartFile


def journal_of(part: PartFile, path: Path) -> Journal:
    """The journal at ``path``. Raises TargetError where there is none: the file is somebody's; and
    where a run on another host is at it. What one that is gone left beside the file goes."""
    journal = Journal.load(path)
    if journal is None:
        raise TargetError(
            f"{part.path} is there, without a journal of raydl's that can be read",
            "move it away or remove it, or save elsewhere with -o",
        )
    if journal.owner is not None:
        if is_alive(journal.owner, path):
            raise written_by_another(part.target)
        meeting_place(part.target, journal.owner).unlink(missing_ok=True)
    return journal


def why_start_over(
    part: PartFile,
    old: Journal,
    remote: Remote,
    identity: Identity,
    *,
    resume: bool,
    overwrite: bool,
    proven: bool,
) -> str:
    """The line that says why nothing of ``part`` stays; empty where nothing speaks against it.

    ``proven`` says whether a checksum will prove the bytes. Raises TargetError where that would
    cost what is kept of another URL, WrongAnswerError where a web page has come in its place.
    """
    name = part.path.name
    if resume:
        _refuse_page(old, remote, identity, name)
    another = old.another_url(remote, identity, proven)
    if another:
        kept = old.kept(part.length).size
        if kept and not overwrite:
            raise TargetError(
                f"{part.path} has {format_size(kept)} of another URL, {another}",
                "--overwrite starts over, or save under another name with -o",
            )
        return f"starting over, {name} is of another URL, {another}"
    if not resume:
        return "starting over (--no-resume)"
    if not remote.ranges or remote.size is None:
        return "starting over: the origin serves no byte ranges"
    objection = old.objection(remote, identity, proven)
    return f"starting over, {name} does not fit: {objection}" if objection else ""


def _refuse_page(old: Journal, remote: Remote, identity: Identity, name: str) -> None:
    """Raise WrongAnswerError for a web page where the run before got something else.

    A page that wants a login stands in for every file, and would cost what is kept of this one.
    """
    before = old.media_type
    if remote.media_type != PAGE or before in (PAGE, None):
        return
    if old.identity.place == identity.place and old.size != remote.size:
        raise WrongAnswerError(
            f"the origin sends a web page ({PAGE}) where {name} began as {_told(before, old.size)}",
            "look at the URL in a browser: it may want a login; --no-resume takes the page",
        )


def _told(media_type: str | None, size: int | None) -> str:
    what = media_type or "something else"
    return what if size is None else f"{what} of {format_size(size)}"
