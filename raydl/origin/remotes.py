"""What a probe's answer says of the file."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from urllib.parse import urlsplit

import requests

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


def remote_from_head(url: str, access: Access, response: requests.Response) -> Remote | None:
    """What the answer to a HEAD settles; None where a GET has to."""
    length = content_length(response.headers)
    settled = (
        response.status_code == 200
        and length is not None
        and length > 0
        and not content_coding(response.headers)
        and response.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
    )
    return remote_of(url, access, response, length, True) if settled else None


def remote_from_get(url: str, access: Access, response: requests.Response) -> Remote:
    """What the answer to a GET says, of byte 0 or of everything. Raises OriginFailure."""
    check_framing(response)
    if response.status_code == 206:
        content_range = parse_content_range(response.headers.get("Content-Range"))
        if content_range is None or content_range[0] != 0 or content_range[1] != 0:
            raise OriginFailure(
                Failure("wrong", "the origin's answer to a request for byte 0 makes no sense")
            )
        size = content_range[2]
        why = "" if size is not None else "the origin does not tell its size"
        return remote_of(url, access, response, size, size is not None, why)
    size = content_length(response.headers)
    if size == 0:
        return remote_of(url, access, response, 0, True)
    why = "the origin ignores byte ranges"
    if size is None:
        why += " and does not tell the size"
    return remote_of(url, access, response, size, False, why)


def what_came(
    url: str, access: Access, response: requests.Response, most: int
) -> tuple[Remote, int]:
    """What the answer to a request for the first ``most`` bytes says, and how many of them come.

    Raises OriginFailure.
    """
    content_range = parse_content_range(response.headers.get("Content-Range"))
    if response.status_code == 416 and content_range is not None and content_range[2] == 0:
        return remote_of(url, access, response, 0, True), 0
    if response.status_code not in (200, 206):
        raise OriginFailure(status_failure(response))
    if response.status_code == 200:
        remote = remote_from_get(url, access, response)
        return remote, remote.size if remote.size is not None and remote.size <= most else 0
    check_framing(response)
    first, last, size = content_range or (None, None, None)
    length = content_length(response.headers)
    if first != 0 or last is None or last >= most or length not in (None, last + 1):
        raise OriginFailure(
            Failure("wrong", "the origin's answer to a request for the first bytes makes no sense")
        )
    if size is None:
        why = "the origin does not tell its size"
        return remote_of(url, access, response, None, False, why), 0
    return remote_of(url, access, response, size, True), last + 1


def remote_of(
    url: str,
    access: Access,
    response: requests.Response,
    size: int | None,
    ranges: bool,
    why: str = "",
) -> Remote:
    """What the answer to a request for ``url`` says, of ``access`` what is for where it ended."""
    final, headers = response.url, response.headers
    access = shown(access, url, final)
    cookie = response.request.headers.get("Cookie")
    if cookie is not None:  # those in the jar that are for where it ended
        others = tuple(pair for pair in access.headers if pair[0].lower() != "cookie")
        access = replace(access, headers=(*others, ("Cookie", str(cookie))))
    date, is_strong = last_modified(headers), is_strong_date(headers)
    etag = strong_etag(headers.get("ETag"))
    way = [r.url for r in (*response.history, response)]
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
            is_whole=response.status_code == 200,
            earlier=[(urlsplit(r.url).hostname or "", r.headers) for r in response.history],
        ),
        weak_etag=None if etag else weak_etag(headers.get("ETag")),
        weak_date=None if is_strong else date,
        media_type=media_type(headers),
        # What is packed on its way has no length, and is not what lies there.
        coding=content_coding(headers) if size is not None else "",
        is_downgraded=any(
            one.startswith("https:") and two.startswith("http:") for one, two in pairwise(way)
        ),
        mirrors=named_mirrors((r.url, r.headers) for r in (*response.history, response)),
    )
