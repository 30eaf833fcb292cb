"""A session of requests that asks what it is told to, and does nothing else by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

import requests
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import requote_uri

from raydl import __version__

USER_AGENT = f"raydl/{__version__}"


MOST_SETTINGS = 100


class HttpSession(requests.Session):
    """Neither follows redirects, whose bodies it would read whole, nor looks into ~/.netrc."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.auth = _NoAuth()
        self._settings: dict[Any, Any] = {}

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
    ) -> requests.Response:
        """The answer of ``url`` itself, whose body is not read yet.

        What ``Session.request`` does, but that the settings of the environment are looked up once
        for each host, which is a third of what a small request costs.
        """
        request = requests.PreparedRequest()
        request.prepare(
            method=method,
            url=url,
            headers=CaseInsensitiveDict([*self.headers.items(), *headers.items()]),
            auth=self.auth,
            cookies=self.cookies if len(self.cookies) else None,
        )
        if body is not None:
            request.body = body
            request.headers["Content-Length"] = str(len(body))
        assert request.url is not None
        host, mine = "/".join(request.url.split("/", 3)[:3]), tuple(proxies.items())
        key = host, mine, verify
        if len(self._settings) > MOST_SETTINGS:
            self._settings.clear()
        if key not in self._settings:
            self._settings[key] = self.merge_environment_settings(
                request.url, dict(proxies), True, verify, None
            )
        settings: dict[str, Any] = {**self._settings[key], "cert": cert}
        response = self.get_adapter(request.url).send(
            request, timeout=(timeout, timeout), **settings
        )
        if "Set-Cookie" in response.headers:
            extract_cookies_to_jar(self.cookies, request, response.raw)  # type: ignore[no-untyped-call]
        return response

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Called by requests, which would go there to look."""

    def redirect_of(self, response: requests.Response) -> str | None:
        """The URL that this answer redirects to, None where it does not."""
        target = super().get_redirect_target(response)
        return None if target is None else urljoin(response.url, requote_uri(target))


class _NoAuth(requests.auth.AuthBase):
    """Keeps requests from looking for credentials in ~/.netrc, and in a redirect's URL."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request
