"""A session of requests that asks what it is told to, and does nothing else by itself."""

from __future__ import annotations

from urllib.parse import urljoin

import requests
from requests.utils import requote_uri

from raydl import __version__

USER_AGENT = f"raydl/{__version__}"


class HttpSession(requests.Session):
    """Neither follows redirects, whose bodies it would read whole, nor looks into ~/.netrc."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.auth = _NoAuth()

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
