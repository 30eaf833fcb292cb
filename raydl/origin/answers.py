"""Whether an answer fits what was asked and what the probe saw: guilty until proven."""

from __future__ import annotations

import re

from raydl.model.failure import Failure
from raydl.model.remote import Source
from raydl.model.units import printable
from raydl.origin.faults import OriginFailure, host_of
from raydl.origin.headers import (
    content_coding,
    content_length,
    last_modified,
    media_type,
    parse_content_range,
    strong_etag,
    wait_asked,
    weak_etag,
)
from raydl.origin.reply import Reply

PAGE = "text/html"
"""What a login page, an error page or a captive portal is."""


def check_part(reply: Reply, source: Source, start: int, stop: int) -> int:
    """How many bytes of ``[start, stop)`` this answer brings; raises OriginFailure."""
    status = reply.status
    if status == 416:
        raise OriginFailure(Failure("changed", "the file on the origin has become shorter"))
    if status not in (200, 206):
        raise OriginFailure(status_failure(reply))
    _check_version(reply, source)
    length = content_length(reply.headers)
    if status == 200:
        if start == 0 and stop == source.size and length == source.size:
            return stop
        raise OriginFailure(
            Failure("no-range", "the origin answered a request for a byte range with status 200")
        )
    content_range = parse_content_range(reply.headers.get("Content-Range"))
    first, last, total = content_range or (None, None, None)
    if first is None or last is None:
        raise OriginFailure(
            Failure("wrong", "the origin sent part of the file without saying which part")
        )
    if total != source.size:
        raise OriginFailure(
            Failure("changed", f"the file on the origin now has {total} bytes, not {source.size}")
        )
    if first != start or last >= stop:
        raise OriginFailure(
            Failure(
                "wrong",
                f"asked for bytes {start} to {stop - 1}, the origin sent {first} to {last}",
            )
        )
    wanted = last + 1 - start
    if length is not None and length != wanted:
        raise OriginFailure(
            Failure("wrong", f"the origin announced {length} bytes for a range of {wanted}")
        )
    return wanted


def check_whole(reply: Reply, source: Source) -> None:
    """Raise OriginFailure unless this answer is the whole file that the probe saw."""
    if reply.status != 200:
        raise OriginFailure(status_failure(reply))
    _check_version(reply, source)
    length = content_length(reply.headers)
    if source.size is not None and length != source.size:
        raise OriginFailure(
            Failure("changed", f"the file on the origin now has {length} bytes, not {source.size}")
        )


def check_framing(reply: Reply) -> None:
    """Raise OriginFailure where it is not certain which bytes are the body.

    http.client undoes the framing, so its reading counts: what it read otherwise than the header
    says would put framing into the file, or cut the file short.
    """
    answer = reply.answer
    coded = "Transfer-Encoding" in reply.headers
    if coded and not (answer.chunked and reply.headers["Transfer-Encoding"].lower() == "chunked"):
        raise OriginFailure(
            Failure("wrong", "the origin sent the file in a transfer coding that was not asked")
        )
    if reply.method != "HEAD" and answer.length != content_length(reply.headers):
        raise OriginFailure(Failure("wrong", "the origin announced two lengths at once"))


def _check_version(reply: Reply, source: Source) -> None:
    check_framing(reply)
    coding = content_coding(reply.headers)
    if coding != source.coding:
        raise OriginFailure(
            Failure(
                "wrong",
                f"the origin sent the file in {printable(coding or 'no')} coding, "
                f"which was not {'seen before' if source.coding else 'asked'}",
            )
        )
    tag, date = reply.headers.get("ETag"), last_modified(reply.headers)
    if source.etag is not None:
        _same(source.etag, strong_etag(tag))
        return
    # A weak validator proves nothing where it is the same, and a change where it is another.
    _same(source.weak_etag, weak_etag(tag))
    _same(source.last_modified or source.weak_date, date)
    kind = media_type(reply.headers)
    if kind == PAGE and source.media_type != PAGE:
        before = source.media_type or "something else"
        raise OriginFailure(Failure("changed", f"the origin sent a web page, and before {before}"))


def _same(before: str | None, now: str | None) -> None:
    if before is not None and now != before:
        versions = f"its version was {printable(before)} and is {printable(str(now))}"
        raise OriginFailure(Failure("changed", f"the file on the origin changed: {versions}"))


def status_failure(reply: Reply) -> Failure:
    """The failure that an error status means."""
    reason = reply.reason if re.fullmatch(r"[\w '-]{1,60}", reply.reason or "") else ""
    host = host_of(reply.url)
    return Failure(
        "status",
        f"{host} answered {reply.status} {reason}".rstrip(),
        reply.status,
        wait_asked(reply.headers),
    )
