"""What a probe's answer says of the file."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlsplit

from raydl.model.failure import Failure
from raydl.model.naming import file_name
from raydl.model.remote import Access, Remote
from raydl.origin.answers import check_framing, status_failure
from raydl.origin.credentialscope import shown
from raydl.origin.digestheaders import stated_digests
from raydl.origin.faults import OriginFailure
from raydl.origin.headers import (
    content_coding,
    content_length,
    is_strong_date,
    last_modified,
    media_type,
    parse_content_range,
    strong_etag,
    weak_etag,
)
from raydl.origin.linkheaders import named_mirrors
from raydl.origin.reply import Reply


def remote_from_head(url: str, access: Access, reply: Reply) -> Remote | None:
    """What the answer to a HEAD settles; None where a GET has to."""
    length = content_length(reply.headers)
    settled = (
        reply.status == 200
        and length is not None
        and length > 0
        and not content_coding(reply.headers)
        and reply.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    )
    return remote_of(url, access, reply, length, True) if settled else None


def remote_from_get(url: str, access: Access, reply: Reply) -> Remote:
    """What the answer to a GET says, of byte 0 or of everything. Raises OriginFailure."""
    check_framing(reply)
    if reply.status == 206:
        content_range = parse_content_range(reply.headers.get("Content-Range"))
        if content_range is None or content_range[0] != 0 or content_range[1] != 0:
            raise OriginFailure(
                Failure("wrong", "the origin's answer to a request for byte 0 makes no sense")
            )
        size = content_range[2]
        why = "" if size is not None else "the origin does not tell its size"
        return remote_of(url, access, reply, size, size is not None, why)
    size = content_length(reply.headers)
    if size == 0:
        return remote_of(url, access, reply, 0, True)
    why = "the origin ignores byte ranges"
    if size is None:
        why += " and does not tell the size"
    return remote_of(url, access, reply, size, False, why)


def what_came(url: str, access: Access, reply: Reply, most: int) -> tuple[Remote, int]:
    """What the answer to a request for the first ``most`` bytes says, and how many of them come.

    Raises OriginFailure.
    """
    content_range = parse_content_range(reply.headers.get("Content-Range"))
    if reply.status == 416 and content_range is not None and content_range[2] == 0:
        return remote_of(url, access, reply, 0, True), 0
    if reply.status not in (200, 206):
        raise OriginFailure(status_failure(reply))
    if reply.status == 200:
        remote = remote_from_get(url, access, reply)
        return remote, remote.size if remote.size is not None and remote.size <= most else 0
    check_framing(reply)
    first, last, size = content_range or (None, None, None)
    length = content_length(reply.headers)
    if first != 0 or last is None or last >= most or length not in (None, last + 1):
        raise OriginFailure(
            Failure("wrong", "the origin's answer to a request for the first bytes makes no sense")
        )
    if size is None:
        why = "the origin does not tell its size"
        return remote_of(url, access, reply, None, False, why), 0
    return remote_of(url, access, reply, size, True), last + 1


def remote_of(
    url: str,
    access: Access,
    reply: Reply,
    size: int | None,
    ranges: bool,
    why: str = "",
) -> Remote:
    """What the answer to a request for ``url`` says, of ``access`` what is for where it ended."""
    final, headers = reply.url, reply.headers
    access = shown(access, url, final)
    if reply.cookie is not None:  # those in the jar that are for where it ended
        others = tuple(pair for pair in access.headers if pair[0].lower() != "cookie")
        access = replace(access, headers=(*others, ("Cookie", reply.cookie)))
    date, is_strong = last_modified(headers), is_strong_date(headers)
    etag = strong_etag(headers.get("ETag"))
    way = [r.url for r in (*reply.history, reply)]
    return Remote(
        url=url,
        final_url=final,
        size=size,
        ranges=ranges,
        etag=etag,
        last_modified=date if is_strong else None,
        name=file_name(headers.get("Content-Disposition"), final),
        why_no_ranges=why,
        access=access,
        digests=stated_digests(
            headers,
            is_whole=reply.status == 200,
            earlier=[(urlsplit(r.url).hostname or "", r.headers) for r in reply.history],
        ),
        weak_etag=None if etag else weak_etag(headers.get("ETag")),
        weak_date=None if is_strong else date,
        media_type=media_type(headers),
        # What is packed on its way has no length, and is not what lies there.
        coding=content_coding(headers) if size is not None else "",
        is_downgraded=any(
            one.startswith("https:") and two.startswith("http:") for one, two in pairwise(way)
        ),
        mirrors=named_mirrors((r.url, r.headers) for r in (*reply.history, reply)),
    )
