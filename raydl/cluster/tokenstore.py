"""The token that Ray's processes of one cluster show each other: found, made, kept from others.

The places are Ray's own: RAY_AUTH_TOKEN, the file that RAY_AUTH_TOKEN_PATH names, and
~/.ray/auth_token (https://docs.ray.io/en/latest/ray-security/token-auth.html).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from pathlib import Path

from raydl.model.errors import UsageError
from raydl.settings.ownfile import NotOwnError, read_own

VARIABLE, PATH_VARIABLE, MODE_VARIABLE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"


def token_file() -> Path:
    """Where Ray looks for the token of this machine."""
    named = os.environ.get(PATH_VARIABLE)
    return Path(named) if named else Path.home() / ".ray" / "auth_token"


def find_token() -> str | None:
    """The token that this machine has, if any that nobody else may know."""
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return given
    try:
        return read_own(token_file(), secret=True).strip() or None
    except (OSError, ValueError, NotOwnError):
        return None


def why_unused() -> str:
    """Why the token file of this machine is not used, with the cure; empty where it is, or none."""
    if os.environ.get(VARIABLE, "").strip():
        return ""
    try:
        read_own(token_file(), secret=True)
    except NotOwnError as error:
        return f"{token_file()} is not used: {error}; {_cure(token_file(), 'copy it again')}"
    except (OSError, ValueError):
        pass
    return ""


def read_token(path: str) -> str:
    """The token in a file that the user names. Raises UsageError; the text is in no message."""
    try:
        token = read_own(Path(path).expanduser(), secret=True).strip()
    except OSError as error:
        raise UsageError(f"cannot read the token in {path}: {error.strerror}") from None
    except NotOwnError as error:
        hint = _cure(Path(path), "copy it again")
        raise UsageError(f"the token in {path} is not used: {error}", hint) from None
    except ValueError:
        token = ""
    return parse_token(token, f"{path} holds no token")


def parse_token(text: str, otherwise: str = "that is no token") -> str:
    """A token as it was pasted. Raises UsageError, without the text."""
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(otherwise, "`cat ~/.ray/auth_token` on the head shows it")
    return token


def ensure_token() -> str:
    """The token where Ray looks for it, made unless there is one; only this user may read it.

    Raises UsageError where it cannot be written, and where others can read it: anyone who does
    can run code wherever it is in use, and neither closing nor replacing it is ours to decide.
    """
    path = token_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(path, flags, 0o600), "w") as file:
                file.write(secrets.token_hex(32))  # 256 bits, as Ray's own
        token = read_own(path, secret=True).strip()
    except OSError as error:
        raise UsageError(f"cannot keep a token in {path}: {error.strerror}") from None
    except NotOwnError as error:
        hint = _cure(path, "remove it: a new one is made")
        raise UsageError(f"the token in {path} is not used: {error}", hint) from None
    except ValueError:
        token = ""
    if not token:
        raise UsageError(f"{path} holds no token", "remove it: a new one is made")
    return token


def _cure(path: Path, otherwise: str) -> str:
    quoted = shlex.quote(str(path))
    return f"`chmod 600 {quoted}` if nobody else can have read it, else {otherwise}"
