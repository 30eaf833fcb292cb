"""The token that Ray's processes of one cluster show each other: found, made, kept from others.

The places are Ray's own: RAY_AUTH_TOKEN, the file that RAY_AUTH_TOKEN_PATH names, and
~/.ray/auth_token (https://docs.ray.io/en/latest/ray-security/token-auth.html).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from raydl.errors import UsageError

VARIABLE, PATH_VARIABLE, MODE_VARIABLE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"


def token_file() -> Path:
    """Where Ray looks for the token of this machine."""
    named = os.environ.get(PATH_VARIABLE)
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def find_token() -> str | None:
    """The token that this machine has, if any."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return given
    try:
        return token_file().read_text().strip() or None
    except (OSError, ValueError):
        return None


def read_token(path: str) -> str:
    """The token in a file that the user names. Raises UsageError; the text is in no message."""
    try:
        token = Path(path).expanduser().read_text().strip()
    except OSError as error:
        raise UsageError(f"cannot read the token in {path}: {error.strerror}") from None
    except ValueError:
        token = ""
    return parse_token(token, f"{path} holds no token")


def parse_token(text: str, otherwise: str = "that is no token") -> str:
    """A token as it was pasted. Raises UsageError, without the text."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(otherwise, "`cat ~/.ray/auth_token` on the head shows it")
    return token


def ensure_token() -> Path:
    """Make a token where Ray looks for it, unless there is one; only this user may read it.

    Raises UsageError where it cannot be written.
    """
    path = token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(path, flags, 0o600), "w") as file:
                file.write(secrets.token_hex(32))  # 256 bits, as Ray's own
        if path.stat().st_mode & 0o077:  # Ray itself writes it readable by all
            path.chmod(0o600)
        if not path.read_text().strip():
            raise UsageError(f"{path} is empty", "remove it: a new token is made")
    except OSError as error:
        raise UsageError(f"cannot keep a token in {path}: {error.strerror}") from None
    return path
