"""The token that Ray shows here: Ray reads mode and token once, and must be made to reread."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from raydl.cluster.importing import ray_module
from raydl.cluster.tokenstore import MODE_VARIABLE, VARIABLE


class _Token:
    """``is_ours``: Ray cached the token that raydl set; ``set_mode``: raydl set the variable."""

    is_ours = set_mode = False


def take_token() -> bool:
    """Let Ray in this process use the token that this machine has; False where it has none."""
    try:
        loader = ray_module("_raylet").AuthenticationTokenLoader.instance()
        if not loader.has_token(ignore_auth_mode=True):
            return False
        os.environ[MODE_VARIABLE] = "token"
        _reread()
    except (ImportError, AttributeError, TypeError):
        return False
    _Token.is_ours = _Token.set_mode = True
    return True


@contextlib.contextmanager
def own_token() -> Iterator[None]:
    """A token for a Ray that is started within, unless the user chose a mode.

    Without this, Ray would write one into the home directory, readable by all, and later
    `ray start` calls would demand it. Ray caches it until ``drop_token``.
    """
    if MODE_VARIABLE in os.environ:
        yield
        return
    before = os.environ.get(VARIABLE)
    os.environ.update({MODE_VARIABLE: "token", VARIABLE: secrets.token_hex(32)})
    _Token.is_ours = True
    try:
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            _reread()  # or Ray would keep what it found when it was imported
        yield
    finally:
        for name in (MODE_VARIABLE, VARIABLE):
            os.environ.pop(name, None)
        if before is not None:
            os.environ[VARIABLE] = before


def drop_token() -> None:
    """Undo that: other clusters, and programs that are started here, do not get it."""
    if _Token.set_mode:
        os.environ.pop(MODE_VARIABLE, None)
    if _Token.is_ours:
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            _reread()
    _Token.is_ours = _Token.set_mode = False


def _reread() -> None:
    raylet = ray_module("_raylet")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
    raylet.Config.initialize("")


def sends_token() -> bool:
    """Whether Ray in this process authenticates itself."""
    return os.environ.get(MODE_VARIABLE, "").lower() == "token"
