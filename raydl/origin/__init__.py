"""HTTP: what the origin has, and its bytes. The only package that imports requests."""

from raydl.origin.client import USER_AGENT, Origin, Tally, split_auth
from raydl.origin.faults import OriginFailure

__all__ = ["USER_AGENT", "Origin", "OriginFailure", "Tally", "split_auth"]
