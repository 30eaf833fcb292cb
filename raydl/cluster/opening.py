"""A connection to Ray opened, with what Ray says on it turned into our errors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from raydl import __version__
from raydl.cluster.address import ClusterChoice
from raydl.cluster.authentication import own_token, sends_token
from raydl.cluster.importing import ray_module
from raydl.cluster.preflight import token_error
from raydl.cluster.process import PROCESS
from raydl.cluster.titles import shortened
from raydl.model.errors import ClusterError, RaydlError
from raydl.model.units import printable

NAMESPACE = "raydl"

ENTRYPOINT = "raydl"
"""What Ray's job table says this process was started with."""


def open_connection(ray: ModuleType, choice: ClusterChoice) -> None:
    """Connect this process to the chosen cluster, or to one that is started. Raises RaydlError.

    Its job says what it is for, as `ray list jobs --detail` shows; Ray's client has no way to.
    """
    how: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.CRITICAL,
        "configure_logging": False,
        "namespace": NAMESPACE,
    }
    if choice.how != "client":
        config = ray_module("job_config").JobConfig
        how["job_config"] = config(metadata={"description": describe(choice.purpose)})
    PROCESS.set_defaults()  # where somebody else has imported ray
    try:
        with _no_command_line():
            if choice.how == "local":
                with own_token():
                    ray.init(address="local", include_dashboard=False, **how)
            else:
                ray.init(choice.address, **how)
    except Exception as error:
        with contextlib.suppress(Exception):
            ray.shutdown()  # what is half open would stand in the way of the next ray.init
        raise _connect_error(choice, error) from error


def describe(purpose: str) -> str:
    """Such as ``raydl 0.1.0: big.iso``."""
    return f"raydl {__version__}" + (f": {shortened(printable(purpose))}" if purpose else "")


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
