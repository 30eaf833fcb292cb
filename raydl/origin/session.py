"""What every request goes with, and what stays behind when it is redirected."""

from __future__ import annotations

import requests

from raydl._version import __version__
from raydl.models import Access

USER_AGENT = f"raydl/{__version__}"

HARMLESS = ("accept", "accept-language", "referer", "user-agent")
"""Headers that are nobody's secret: they follow a redirect to any host."""


class Session(requests.Session):
    """A session whose private headers go to the origin that they were given for, and no other."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access
        self.headers.update({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
        self.headers.update(access.headers)
        self.auth = _NoAuth()

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        """Called by requests for each redirect, whose request has the headers of the last one."""
        # The inherited one would look up ~/.netrc for the new host, on whatever machine this is.
        url, target = response.request.url or "", prepared_request.url or ""
        elsewhere = self.should_strip_auth(url, target)  # type: ignore[no-untyped-call]
        if elsewhere and not self._access.trusts_redirects:
            for name, _ in self._access.headers:
                if name.lower() not in HARMLESS:
                    prepared_request.headers.pop(name, None)
            return
        for name, value in self._access.headers:
            # requests drops it on every redirect, for it may come from the jar.
            if name.lower() == "cookie" and name in response.request.headers:
                prepared_request.headers[name] = value


class _NoAuth(requests.auth.AuthBase):
    """Keeps requests from looking for credentials in ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request
