"""The token that Ray in this process shows, set for a while."""

import os

from raydl.cluster import authentication
from raydl.cluster.authentication import drop_token, sends_token, take_token
from raydl.cluster.process import PROCESS


def test_a_mode_that_somebody_else_set_stays(monkeypatch):
    """As `raydl demo` does, around a connection that takes no token from this machine."""
    with PROCESS.variables(RAY_AUTH_MODE="token"):
        drop_token()
        assert sends_token()
    assert "RAY_AUTH_MODE" not in os.environ


def test_a_ray_that_cannot_reread_leaves_no_mode_behind(monkeypatch):
    class Loader:
        def has_token(self, ignore_auth_mode):
            return True

    class Raylet:
        class AuthenticationTokenLoader:
            instance = Loader

    monkeypatch.setattr(authentication, "ray_module", lambda name: Raylet)
    assert not take_token()
    assert not sends_token()
