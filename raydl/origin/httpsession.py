"""A session of requests that asks what it is told to, and does nothing else by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import requests
from requests.adapters import DEFAULT_POOLSIZE
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri, select_proxy
from urllib3 import HTTPHeaderDict

from raydl import __version__
from raydl.origin.reply import Reply
from raydl.origin.transport import Transport

USER_AGENT = f"raydl/{__version__}"

MOST_SETTINGS = 100

_REDIRECTS = (301, 302, 303, 307, 308)

# No dot may begin a segment, and what is escaped must be in need of it (RFC 3986, section 6.2.2).
_ESCAPED = "%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-DF])"
_PLAIN = re.compile(
    rf"(https?://[^/?#@\s]+)"
    rf"((?:/(?!\.)(?:[A-Za-z0-9_~!$&'()*+,;=:@.-]|{_ESCAPED})*)+"
    rf"(?:\?(?:[A-Za-z0-9_~!$&'()*+,;=:@./?-]|{_ESCAPED})+)?)"
)
"""The URLs that requests would send as they are: host, and what is asked for there."""


class HttpSession(requests.Session):
    """Neither follows redirects, whose bodies it would read whole, nor looks into ~/.netrc."""

    def __init__(self, insecure: bool = False) -> None:
        super().__init__()
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.auth = _NoAuth()
        self.transport = Transport(insecure)
        for scheme in ("http://", "https://"):
            self.mount(scheme, self.transport)
        self._settings: dict[Any, Any] = {}
        self._direct: dict[Any, Any] = {}
        """The pools of those settings with which no proxy is asked."""

    def close(self) -> None:
        """Close every connection."""
        super().close()
        self._direct.clear()

    def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout: float,
        verify: bool | str | None,
        cert: str | None,
        proxies: Mapping[str, str],
        body: Any = None,
    ) -> Reply:
        """The answer of ``url`` itself, whose body is not read yet.

        What requests does, but that this is done in full once for each host: a connection that is
        open there is asked with a fifth of the effort.
        """
        sent = _merged(self.headers, headers)
        settings = verify, cert, tuple(proxies.items())
        plain = _PLAIN.fullmatch(url) if body is None and not len(self.cookies) else None
        if plain is not None:
            pool = self._direct.get((plain[1], settings))
            came = pool and pool.ask(method, plain[2], sent, timeout)
            if came is not None:
                return self._reply(method, url, sent, *came)
        return self._ask(method, url, sent, timeout, settings, body)

    def _ask(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        timeout: float,
        settings: tuple[bool | str | None, str | None, tuple[tuple[str, str], ...]],
        body: Any,
    ) -> Reply:
        """In full."""
        if self.transport.is_cut:
            raise ConnectionAbortedError
        request = requests.PreparedRequest()
        request.prepare(
            method=method,
            url=url,
            headers=headers,
            auth=self.auth,
            cookies=self.cookies if len(self.cookies) else None,
        )
        if body is not None:
            request.body = body
            request.headers["Content-Length"] = str(len(body))
        assert request.url is not None
        verify, cert, proxies = settings
        key = "/".join(request.url.split("/", 3)[:3]), settings
        if len(self._settings) > MOST_SETTINGS:
            self._settings.clear()
        if key not in self._settings:
            self._settings[key] = self.merge_environment_settings(
                request.url, dict(proxies), True, verify, None
            )
        chosen: dict[str, Any] = {**self._settings[key], "cert": cert}
        response = self.transport.send(request, timeout=(timeout, timeout), **chosen)
        raw = response.raw
        if select_proxy(request.url, chosen["proxies"]) is None:
            if len(self._direct) >= DEFAULT_POOLSIZE:  # as many as requests keeps itself
                self._direct.clear()
            self._direct[key] = self.transport.pool
        # urllib3's own ``readinto`` reads into a new object and copies; the http.client response
        # under it reads from the socket into the buffer, which takes a quarter off the CPU time a
        # byte. It does not notice a body that is too short, but every caller here counts.
        return self._reply(
            method, request.url, request.headers, raw._fp, raw.release_conn, response.close
        )

    def _reply(
        self, method: str, url: str, sent: Mapping[str, str], answer: Any, release: Any, close: Any
    ) -> Reply:
        headers = HTTPHeaderDict(answer.fields)
        if "Set-Cookie" in headers:
            request = requests.PreparedRequest()
            request.url, request.headers = url, CaseInsensitiveDict(sent)
            came = SimpleNamespace(_original_response=answer)
            extract_cookies_to_jar(self.cookies, request, came)  # type: ignore[no-untyped-call]
        cookie = next((value for name, value in sent.items() if name.lower() == "cookie"), None)
        status, reason = answer.status, answer.reason
        return Reply(method, url, status, reason, headers, cookie, answer, release, close)

    def redirect_of(self, reply: Reply) -> str | None:
        """The URL that this answer redirects to, None where it does not."""
        location = reply.headers.get("Location")
        if location is None or reply.status not in _REDIRECTS:
            return None
        # Servers send UTF-8, which http.client takes for Latin-1.
        target = location.encode("latin-1").decode("utf-8")
        return urljoin(reply.url, requote_uri(target))


def _merged(*headers: Mapping[str, Any]) -> dict[str, str]:
    """All of them, of which the last one of a name counts."""
    named = {name.lower(): (name, value) for group in headers for name, value in group.items()}
    return dict(named.values())


class _NoAuth(requests.auth.AuthBase):
    """Keeps requests from looking for credentials in ~/.netrc, and in a redirect's URL."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request
