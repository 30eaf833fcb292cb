"""URLs, and the user and password in them."""

from __future__ import annotations

from urllib.parse import unquote, urlunsplit

from raydl.model.weburl import check_url


def split_auth(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without its userinfo, and that userinfo as (user, password).

    Raises UsageError when it is no absolute http or https URL.
    """
    parts = check_url(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    clean = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if not userinfo:
        return clean, None
    user, _, password = userinfo.partition(":")
    return clean, (unquote(user), unquote(password))
