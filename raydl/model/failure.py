"""Why bytes did not come, as plain data that crosses Ray."""

from __future__ import annotations

from dataclasses import dataclass

from raydl.model.errors import (
    BadPieceError,
    HttpError,
    NetworkError,
    OriginChangedError,
    RangesIgnoredError,
    RaydlError,
    TimedOutError,
    WrongAnswerError,
)

NO_TRUST = "is not trusted"
DISTRUST = "--cacert FILE trusts a certificate of your own; else check the host and the clock"
TLS = "check the host, the clock and the CA certificates"


@dataclass(frozen=True)
class Failure:
    """Why a lane did not deliver (all of) a part. Plain data: it crosses Ray as a tuple.

    ``kind`` is one of ``connect``, ``proxy``, ``timeout``, ``broken`` (the connection ended early),
    ``tls`` (no trust), ``status``, ``no-range``, ``changed``, ``wrong``, ``piece`` (one has another
    digest), ``cancelled`` and ``lane`` (the worker itself was lost). ``retry_after`` is in seconds.
    """

    kind: str
    message: str
    status: int = 0
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same request may well succeed later.

        Statuses: 408 (RFC 9110, 15.5.9), 429 (RFC 6585, section 4) and every 5xx but 501 and
        505, which say that the request will never be served.
        """
        if self.kind == "status":
            return self.status in (408, 429) or (
                self.status >= 500 and self.status not in (501, 505)
            )
        return self.kind in ("connect", "proxy", "timeout", "broken", "lane")

    def to_error(self, after: str = "") -> RaydlError:
        """The error a caller sees; ``after`` says how often it was tried."""
        message = f"{self.message}{after}"
        match self.kind:
            case "status":
                return HttpError(message, status_hint(self.status), self.status)
            case "changed":
                return OriginChangedError(message, "run the same command again to start over")
            case "no-range":
                return RangesIgnoredError(message)
            case "piece":
                return BadPieceError(message, "another mirror may have the right one")
            case "wrong":
                return WrongAnswerError(message)
            case "tls":
                return NetworkError(message, DISTRUST if NO_TRUST in message else TLS)
            case "proxy":
                return NetworkError(message, "check --proxy, or http_proxy and https_proxy")
            case _:
                kind = TimedOutError if self.kind == "timeout" else NetworkError
                return kind(message, "run the same command again to go on from here")


def status_hint(status: int) -> str:
    """What a person can do about an HTTP error status."""
    match status:
        case 400:
            return "check the URL: https may be what listens there"
        case 401 | 407:
            return "it wants credentials: --user, --netrc, --bearer-env or --header"
        case 403:
            return "access is refused; a signed URL may have expired"
        case 404 | 410:
            return "check the URL"
        case 408 | 429 | 500 | 502 | 503 | 504:
            return "the origin is busy; try later, or with fewer --connections"
        case _:
            return ""
