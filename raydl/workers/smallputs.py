"""A small file is sent to a bucket, by who fetched it. Shipped to the nodes by value."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import time
from typing import Protocol

from raydl.model import backoff
from raydl.model.errors import OutputError, TargetError
from raydl.model.failure import Failure
from raydl.origin.faults import OriginFailure
from raydl.origin.upload import ANYTHING, CONDITION_UNKNOWN, Receipt, Uploader, condition
from raydl.workers.puts import LOOK_SECONDS, Uploaders

MOST_TRIES = 5

HINTS = {
    403: "see the bucket's policy",
    501: "the service may know no conditions: --overwrite writes without one",
}

BUSY = (
    "SlowDown",
    "TooManyRequests",
    "RequestLimitExceeded",
    "RequestTimeout",
    "BadDigest",
    "ConditionalRequestConflict",
)
"""Refusals that another try may not get."""


GONE = "NoSuchKey"
"""What If-Match is refused with where there is nothing to be replaced any more."""


class Stoppable(Protocol):
    """What another thread may end."""

    def sending(self, uploader: Uploader) -> contextlib.AbstractContextManager[None]:
        """Meanwhile that is ended with it; at once, where it was ended before."""


def mark_of(etag: str) -> int:
    """A number that stands for an object's ETag."""
    digest = hashlib.blake2b(etag.strip('"').encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


class SmallPuts:
    """Sends files, in as many threads as call."""

    def __init__(self, uploaders: Uploaders) -> None:
        self._uploaders = uploaders

    def send(
        self,
        put: tuple[str, str, str],
        data: memoryview,
        media_type: str,
        replaces: str,
        may_be_there: bool,
        timeout: float,
        ca: str | None,
        request: Stoppable,
    ) -> int:
        """PUT the bytes to a signed URL; returns the mark of the object's ETag.

        It ``replaces`` what ``condition`` says. The mark is negative where that is not certain: a
        try had no answer, or an earlier run was killed (``may_be_there``), and something was found
        there. A service without If-Match is looked at right before each try. Raises OutputError,
        TargetError, and OriginFailure where it was cancelled with its ``request``.
        """
        url, name, look = put
        md5 = hashlib.md5(data, usedforsecurity=False)
        headers = {"Content-MD5": base64.b64encode(md5.digest()).decode()}
        if media_type:
            headers["Content-Type"] = media_type
        only, looks = condition(replaces), False
        rests, is_uncertain = self._uploaders.rests, may_be_there
        tries = 0
        while True:
            tries += 1
            with self._uploaders.lent(ca, rests) as uploader, request.sending(uploader):
                receipt = Receipt()
                if looks:
                    receipt, only = _seen(uploader.look(look, timeout), replaces)
                if receipt.failure is None:
                    receipt = uploader.put(url, {**headers, **only}, [data], timeout)
            if receipt.failure is None:
                return mark_of(receipt.etag)
            failure = receipt.failure
            if failure.kind == "cancelled":
                raise OriginFailure(failure)
            if failure.status == 412:
                if is_uncertain:
                    return -mark_of(md5.hexdigest())
                what = "was changed meanwhile" if replaces else "exists already"
                raise TargetError(f"{name} {what}", "--overwrite replaces it")
            if "If-Match" in only and receipt.code == GONE:
                only = condition("")
                continue
            if "If-Match" in only and (failure.status == 501 or receipt.code in CONDITION_UNKNOWN):
                looks = True
                continue
            # What answers 500 may have stored it all the same.
            is_uncertain = is_uncertain or failure.kind != "status" or failure.status >= 500
            if tries == MOST_TRIES or not _may_help(failure, receipt.code):
                hint = HINTS.get(failure.status, "")
                raise OutputError(f"cannot write {name}: {failure.message}", hint)
            with self._uploaders.lent(ca, rests) as uploader, request.sending(uploader):
                _wait(backoff.delay(tries, failure.retry_after), uploader)


def _seen(there: Receipt, replaces: str) -> tuple[Receipt, dict[str, str]]:
    """What If-Match would have said, by a look at what is there; and what to PUT with then."""
    failure = there.failure
    if failure is None:
        if there.etag == replaces:
            return Receipt(), condition(ANYTHING)
        return Receipt(failure=Failure("status", "it is another one", 412)), {}
    return (Receipt() if failure.status == 404 else there), condition("")


def _may_help(failure: Failure, code: str) -> bool:
    return code in BUSY or failure.retryable


def _wait(seconds: float, uploader: Uploader) -> None:
    """So long, or until nothing is to be sent any more."""
    until = time.monotonic() + seconds
    while not uploader.aborted and (left := until - time.monotonic()) > 0:
        time.sleep(min(LOOK_SECONDS, left))
