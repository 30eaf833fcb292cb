"""HTTP: what the origin has, and its bytes. The only package that imports requests."""

from raydl.origin.answers import PAGE
from raydl.origin.client import Origin
from raydl.origin.faults import OriginFailure
from raydl.origin.httpsession import USER_AGENT

__all__ = ["PAGE", "USER_AGENT", "Origin", "OriginFailure"]
