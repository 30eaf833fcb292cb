"""The token that Ray shows here: Ray reads mode and token once, and must be made to reread."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from raydl.cluster.importing import ray_module
from raydl.cluster.process import PROCESS
from raydl.cluster.tokenstore import MODE_VARIABLE, VARIABLE


def take_token() -> bool:
    """Let Ray in this process use the token that this machine has; False where it has none."""
    try:
        loader = ray_module("_raylet").AuthenticationTokenLoader.instance()
        if not loader.has_token(ignore_auth_mode=True):
            return False
        PROCESS.set_variables(**{MODE_VARIABLE: "token"})
        _reread()
    except (ImportError, AttributeError, TypeError):
        PROCESS.restore_variables(MODE_VARIABLE)
        return False
    PROCESS.has_own_token = True
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
    PROCESS.has_own_token = True
    with PROCESS.variables(**{MODE_VARIABLE: "token", VARIABLE: secrets.token_hex(32)}):
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            _reread()  # or Ray would keep what it found when it was imported
        yield


def drop_token() -> None:
    """Undo that: other clusters, and programs that are started here, do not get it."""
    if PROCESS.has_own_token:
        PROCESS.restore_variables(MODE_VARIABLE)
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            _reread()
    PROCESS.has_own_token = False


def _reread() -> None:
    raylet = ray_module("_raylet")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
    raylet.Config.initialize("")


def sends_token() -> bool:
    """Whether Ray in this process authenticates itself."""
    return os.environ.get(MODE_VARIABLE, "").lower() == "token"
