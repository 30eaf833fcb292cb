"""What the driver itself asks of origins: the probe, the mirrors, a list of digests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.cookiejar import CookieJar
from itertools import count
from urllib.parse import urlsplit

from raydl import backoff
from raydl.access import access_of
from raydl.control import Control
from raydl.errors import RaydlError
from raydl.event import Emit, Event, Notice
from raydl.mirrors import Mirror, objection
from raydl.models import Access, Remote, Source, redact
from raydl.options import Options
from raydl.origin import Origin, OriginFailure, split_auth
from raydl.units import format_duration

PROBE_RETRIES = 2
"""Tries for an origin that cannot be reached at all: a person waits for the answer."""


def probe_origin(
    url: str, options: Options, emit: Emit, control: Control, trust_head: bool = True
) -> Remote:
    """Probe, again and again while that may help."""
    clean, access, cookies = _access(url, options, emit)
    for tries in count(1):
        origin = Origin(access, options.timeout, cookies)
        control.watch(origin.abort)
        try:
            return origin.probe(clean, trust_head)
        except OriginFailure as error:
            failure = error.failure
            if failure.kind == "cancelled":
                control.wait(0)
            limit = options.retries
            if failure.kind in ("connect", "timeout"):
                limit = min(limit, PROBE_RETRIES)
            if not failure.retryable or tries > limit:
                raised = failure.to_error(f" ({tries} tries)" if tries > 1 else "")
                if failure.kind in ("connect", "timeout"):
                    raised.hint = "check the URL and this machine's network"
                if failure.status == 401 and any(n == "Authorization" for n, _ in access.headers):
                    raised.hint = "the credentials are wrong"
                raise raised from None
            delay = backoff.delay(tries, failure.retry_after)
            emit(Notice(f"{failure.message}; again in {format_duration(delay)}"))
            control.wait(delay)
        finally:
            origin.close()
    raise AssertionError("unreachable")


def source_of(remote: Remote, options: Options) -> Source:
    """What lanes need to ask for byte ranges of it."""
    return Source(
        url=remote.final_url,
        size=remote.size,
        etag=remote.etag,
        last_modified=remote.last_modified,
        access=remote.access,
        timeout=options.timeout,
    )


def mirrors_of(url: str, first: Remote, options: Options, emit: Emit) -> list[Mirror]:
    """The places that have the file: ``first``, found at ``url``, and the mirrors that agree.

    The others are left out with a reason.
    """
    found = [Mirror(source_of(first, options), _resolver(url, options, emit))]
    return [*found, *_others(url, first, options, emit)]


def _resolver(url: str, options: Options, emit: Emit) -> Callable[[], Source]:
    return lambda: source_of(probe_origin(url, options, emit, Control()), options)


def _others(url: str, first: Remote, options: Options, emit: Emit) -> Iterator[Mirror]:
    others = [other for other in options.mirror if other != url]
    if not others:
        return
    patient = replace(options, retries=0)

    def ask(other: str) -> Remote | RaydlError:
        try:
            return probe_origin(other, patient, _told_before, Control())
        except RaydlError as error:
            return error

    with ThreadPoolExecutor(len(others), "raydl-mirror") as pool:
        for other, answer in zip(others, pool.map(ask, others), strict=True):
            why = answer.message if isinstance(answer, RaydlError) else objection(first, answer)
            if why or isinstance(answer, RaydlError):
                emit(Notice(f"the mirror {redact(other)} is left out: {why}"))
            else:
                yield Mirror(source_of(answer, options), _resolver(other, options, _told_before))


def _told_before(event: Event) -> None:
    """What is to be said of credentials and trust was said of the first place."""


def text_at(near: str, options: Options, emit: Emit, url: str, limit: int) -> str:
    """The text at ``url``, with the credentials for ``near`` if that is the same origin."""
    clean, access, cookies = _access(url, options, emit)
    if urlsplit(clean)[:2] != urlsplit(split_auth(near)[0])[:2]:
        access = replace(access, headers=())
    with contextlib.closing(Origin(access, options.timeout, cookies)) as origin:
        try:
            return origin.text(clean, limit)
        except OriginFailure as error:
            raised = error.failure.to_error(f" for {redact(url)}")
            raise raised from None


def _access(url: str, options: Options, emit: Emit) -> tuple[str, Access, CookieJar]:
    """The URL without its userinfo, what requests to it go with, and the cookies."""
    clean, auth = split_auth(url)
    return clean, *access_of(clean, auth, options, lambda text: emit(Notice(text)))
