"""What a request presents and trusts: headers, credentials, certificates, from options and files.

Everything secret ends up in an Access, which is data of a call: it is in no repr, no event, no
log and no file of ours.
"""

from __future__ import annotations

import base64
import netrc
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.cookiejar import CookieJar, LoadError, MozillaCookieJar
from pathlib import Path
from urllib.parse import urlsplit

from raydl.model.errors import UsageError
from raydl.model.remote import Access
from raydl.origin.credentialscope import HARMLESS, is_same_origin, shown
from raydl.origin.transport import as_file
from raydl.settings.options import Options
from raydl.settings.textfile import read_text, why

NETRC = "~/.netrc"

Tell = Callable[[str], None]


def access_of(
    url: str,
    auth: tuple[str, str] | None,
    options: Options,
    tell: Tell,
    environ: Mapping[str, str] = os.environ,
    owner: str | None = None,
) -> tuple[Access, CookieJar]:
    """What requests to ``url`` go with, and the cookies for it and for where it redirects.

    ``auth`` is the user and password of the URL itself. What was said most plainly counts: a
    header, then the URL, ``user``, ``bearer_env``, netrc, and the token of a well-known host.
    The options were given for the URL ``owner``: a mirror or a list of digests elsewhere is not
    shown what is private in them. Raises UsageError; ``tell`` gets what a person should know. No
    text holds a secret.
    """
    headers = list(options.header)
    if options.user_agent is not None:
        headers.append(("User-Agent", options.user_agent))
    _authorize(headers, lambda: _basic(auth) or _basic(_user(options)) or _bearer(options, environ))
    if options.insecure:
        tell("certificates are not checked (insecure): who is on the way can change the file")
    given = Access(
        headers=tuple(headers),
        ca=_authorities(options.cacert),
        certificate=_certificate(options.cert, options.key),
        insecure=options.insecure,
        proxy=options.proxy,
    )
    access = shown(given, owner or url, url)
    headers = list(access.headers)
    _authorize(
        headers,
        lambda: (
            _basic(auth) or _basic(_from_netrc(url, options, tell)) or _host_token(url, environ)
        ),
    )
    access = replace(access, headers=tuple(headers), trusts_redirects=options.location_trusted)
    return access, _cookies(options.cookies)


def for_strangers(options: Options) -> Options:
    """The options for a URL that nobody here has chosen: without all that is private in them."""
    harmless = tuple(pair for pair in options.header if pair[0].lower() in HARMLESS)
    return replace(
        options, header=harmless, user=None, bearer_env=None, netrc="none", cookies=None,
        location_trusted=False, cert=None, key=None,
    )  # fmt: skip


def presents(url: str, options: Options) -> bool:
    """Whether a request for that URL would go with anything private: with a well-known host's
    token, for one."""
    try:
        access, _ = access_of(url, None, options, lambda _: None)
    except UsageError:  # of a token that cannot be sent
        return True
    return any(name.lower() not in HARMLESS for name, _ in access.headers)


def _authorize(headers: list[tuple[str, str]], find: Callable[[], str]) -> None:
    """Add what ``find`` finds, unless an Authorization is there."""
    if not any(name.lower() == "authorization" for name, _ in headers) and (found := find()):
        headers.append(("Authorization", found))


def _basic(auth: tuple[str, str] | None) -> str:
    # UTF-8, as RFC 7617, section 2.1, prefers.
    return "Basic " + base64.b64encode(":".join(auth).encode()).decode() if auth else ""


def _user(options: Options) -> tuple[str, str] | None:
    if options.user is None:
        return None
    user, _, password = options.user.partition(":")
    return user, password


def _bearer(options: Options, environ: Mapping[str, str]) -> str:
    if options.bearer_env is None:
        return ""
    token = environ.get(options.bearer_env, "").strip()
    if not token:
        raise UsageError(
            f"--bearer-env: the variable {options.bearer_env} is not set", "export it first"
        )
    return _as_bearer(token)


def _as_bearer(token: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise UsageError("a token has characters that a header cannot have")
    return f"Bearer {token}"


def _from_netrc(url: str, options: Options, tell: Tell) -> tuple[str, str] | None:
    """User and password for the host from the netrc file, if nobody else can read it."""
    if options.netrc == "none":
        return None
    path = Path(options.netrc).expanduser()
    try:
        status = path.stat()
        found = netrc.netrc(path).authenticators(urlsplit(url).hostname or "")
    except netrc.NetrcParseError as error:
        raise UsageError(f"--netrc: {path}, line {error.lineno}: this is no netrc file") from None
    except (OSError, UnicodeDecodeError) as error:
        if options.netrc == NETRC:
            return None
        raise UsageError(f"--netrc: {path} cannot be read: {why(error)}") from None
    if found is None:
        return None
    if status.st_mode & 0o077 or status.st_uid not in (os.getuid(), 0):
        tell(f"{path} is not used: others can read it; chmod 600 {path}")
        return None
    return found[0] or found[1] or "", found[2] or ""


def _host_token(url: str, environ: Mapping[str, str]) -> str:
    """The token that a well-known host's own tools keep on this machine.

    Hugging Face: HF_TOKEN, or the file that ``hf auth login`` writes; see "Environment
    variables" in the documentation of huggingface_hub.
    """
    parts = urlsplit(url)
    is_hub = parts.scheme == "https" and parts.hostname in ("huggingface.co", "hf.co")
    own = environ.get("HF_ENDPOINT", "").strip()  # a hub of one's own, or a mirror of it
    if not (is_hub or (own and is_same_origin(own, url))):
        return ""
    if environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return ""
    token = environ.get("HF_TOKEN", "").strip()
    if not token:
        home = environ.get("HF_HOME") or "~/.cache/huggingface"
        path = Path(environ.get("HF_TOKEN_PATH") or f"{home}/token").expanduser()
        try:
            token = path.read_text().strip()
        except (OSError, UnicodeDecodeError):
            return ""
    return _as_bearer(token) if token else ""


def _cookies(file: str | None) -> CookieJar:
    jar = MozillaCookieJar()
    if file is not None:
        try:
            jar.load(str(Path(file).expanduser()), ignore_discard=True, ignore_expires=True)
        except LoadError:
            raise UsageError(
                f"--cookies: {file} is no cookie file", "it has to be in Netscape's format"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--cookies: {file} cannot be read: {why(error)}") from None
    for cookie in jar:
        if not f"{cookie.name}{cookie.value}".isascii():  # RFC 6265, section 4.1.1
            raise UsageError(f"--cookies: {file} has a cookie with characters that none can have")
        if cookie.expires == 0:  # so curl writes one that lasts for the session
            cookie.expires, cookie.discard = None, True
    jar.clear_expired_cookies()
    return jar


def _authorities(file: str | None) -> str | None:
    """The certificates in ``file``, as PEM text."""
    if file is None:
        return None
    text = read_text(file, "cacert")
    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        raise UsageError(
            f"--cacert: {file} holds no certificates", "PEM is what it takes"
        ) from None
    return text


def _certificate(cert: str | None, key: str | None) -> str | None:
    """The client's certificate and key together, as PEM text."""
    if cert is None:
        if key is not None:
            raise UsageError("--key: a key is of no use without a certificate", "add --cert")
        return None
    text = read_text(cert, "cert")
    if key is not None:
        text += "\n" + read_text(key, "key")
    with as_file(text) as name:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_cert_chain(name, password=_refuse)
        except (ssl.SSLError, ValueError, OSError):
            raise UsageError(
                f"--cert: {cert} and the key do not fit, or the key has a password",
                "PEM, with the key in the same file or in --key, and without a password",
            ) from None
    return text


def _refuse() -> str:
    raise ValueError("a password would be needed")
