"""Errors of requests, urllib3, http.client and the socket, as ours.

Their own texts hold URLs with signatures, so none of them is passed on.
"""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.exceptions import NameResolutionError

from raydl.model.failure import NO_TRUST, Failure

FOREIGN = (
    requests.RequestException,
    Urllib3Error,
    HTTPException,
    OSError,
    ValueError,
    OverflowError,
)
"""What any of the libraries below may raise; ValueError for headers that make no sense."""


class OriginFailure(Exception):  # noqa: N818 - carries a Failure, which callers turn into an error
    """Leaves this module only towards a caller in the same process."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure


def failure_of(error: BaseException, timeout: float, url: str = "") -> Failure:
    """What happened, from the chain of causes; never the text of a foreign error."""
    links = chain(error)
    host = next((_host_of(e) for e in links if _host_of(e)), host_of(url) or "the origin")
    for cause in links:
        match cause:
            case NameResolutionError() | socket.gaierror():
                return Failure("connect", f"the name of {host} cannot be resolved")
            case ssl.SSLCertVerificationError():
                return Failure(
                    "tls", f"the certificate of {host} {NO_TRUST}: {cause.verify_message}"
                )
            case ssl.SSLError(reason="WRONG_VERSION_NUMBER"):
                return Failure("tls", f"{host} speaks no TLS there, perhaps plain http://")
            case ConnectionRefusedError():
                return Failure("connect", f"{host} refuses the connection")
            case ConnectionResetError() | BrokenPipeError():
                return Failure("broken", f"{host} reset the connection")
            case requests.ConnectTimeout():
                return Failure("timeout", f"{host} did not accept a connection in {timeout:g}s")
            case requests.Timeout() | TimeoutError():
                return Failure("timeout", f"{host} sent nothing for {timeout:g}s")
            case requests.TooManyRedirects():
                return in_circles(host)
            case requests.exceptions.ProxyError():
                return Failure("proxy", f"the proxy {_proxy_of(links)} cannot be reached")
            case (
                requests.exceptions.InvalidURL()
                | requests.exceptions.InvalidSchema()
                | ValueError()
            ):
                return Failure("wrong", f"{host} sent headers or a redirect that make no sense")
            case OSError(errno=None, args=(str() as text,)) if "CA certificate bundle" in text:
                return Failure("tls", "the CA certificates are not where they should be")
            case OSError(errno=int() as number, strerror=str() as text) if number:
                return Failure("connect", f"{host}: {text}")
            case _:
                continue
    return Failure("broken", f"the connection to {host} broke ({type(links[-1]).__name__})")


def in_circles(host: str) -> Failure:
    """There is no end to the redirects."""
    return Failure("wrong", f"{host} redirects in circles: it may want a login or a cookie")


def _proxy_of(links: list[BaseException]) -> str:
    """Host and port of the proxy, whoever named it, without its password."""
    proxies = (getattr(getattr(link, "pool", None), "proxy", None) for link in links)
    return next((proxy.netloc or "" for proxy in proxies if proxy is not None), "")


def chain(error: BaseException) -> list[BaseException]:
    """The error and its causes, innermost last; also those that urllib3 keeps in fields."""
    links: list[BaseException] = []
    pending: list[object] = [error]
    while pending and len(links) < 16:
        item = pending.pop(0)
        if not isinstance(item, BaseException) or item in links:
            continue
        links.append(item)
        pending += [getattr(item, "reason", None), item.__cause__, item.__context__, *item.args]
    return links


def _host_of(error: BaseException) -> str:
    request = getattr(error, "request", None)
    url = getattr(request, "url", None)
    return host_of(url) if isinstance(url, str) else ""


def host_of(url: str) -> str:
    """Host and port of a URL, without what may be before them."""
    return urlsplit(url).netloc.rpartition("@")[2]
