"""A connection to Ray opened, with what Ray says on it turned into our errors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from raydl.cluster.address import ClusterChoice
from raydl.cluster.authentication import own_token, sends_token
from raydl.cluster.importing import ray_module
from raydl.cluster.preflight import token_error
from raydl.model.errors import ClusterError, RaydlError

NAMESPACE = "raydl"

ENTRYPOINT = "raydl"
"""What Ray's job table says this process was started with."""


def open_connection(ray: ModuleType, choice: ClusterChoice) -> None:
    """Connect this process to the chosen cluster, or to one that is started. Raises RaydlError."""
    quiet: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
    }
    try:
        with _no_command_line():
            if choice.how == "local":
                with own_token():
                    ray.init(address="local", include_dashboard=False, namespace=NAMESPACE, **quiet)
            else:
                ray.init(choice.address, namespace=NAMESPACE, **quiet)
    except Exception as error:
        with contextlib.suppress(Exception):
            ray.shutdown()  # what is half open would stand in the way of the next ray.init
        raise _connect_error(choice, error) from error


@contextlib.contextmanager
def _no_command_line() -> Iterator[None]:
    """While this context is open, Ray does not see what this process was started with.

    It would write that, with passwords and signed URLs, into the job table, for anyone who may ask
    the cluster or its dashboard. Ray has no option against it. Where it gets the command line in
    another way than this, an AttributeError keeps it from being written.
    """
    utils: Any = ray_module("_private.utils")
    before = utils.get_entrypoint_name
    utils.get_entrypoint_name = lambda: ENTRYPOINT
    try:
        yield
    finally:
        utils.get_entrypoint_name = before


def _connect_error(choice: ClusterChoice, error: Exception) -> RaydlError:
    """What ray.init threw, in a line."""
    where = choice.address or "on this machine"
    text = " ".join(str(error).split())
    if "ersion mismatch" in text:
        return ClusterError(
            f"the Ray cluster {where} has another Ray or Python version",
            "install the same versions here as on the head",
        )
    if type(error).__name__ == "AuthenticationError":
        return token_error(where, sends_token())
    return ClusterError(
        f"cannot use the Ray cluster {where}: {type(error).__name__}: {text[:160]}",
        "look at it with `ray status`",
    )
