"""Ray's objects, as a worker on a node takes them. Shipped to the nodes by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def get_object(ref: Any, seconds: float) -> memoryview | None:
    """The bytes of an object, pulled to this node; None where they do not come so soon.

    Raises LookupError for an object that is lost.
    """
    import ray

    try:
        return memoryview(ray.get(ref, timeout=seconds))
    except ray.exceptions.GetTimeoutError:
        return None
    except ray.exceptions.RayError as error:
        raise LookupError(type(error).__name__) from None


def get_objects(refs: Sequence[Any], seconds: float) -> list[memoryview] | None:
    """The same of several, which come at the same time."""
    import ray

    try:
        return [memoryview(data) for data in ray.get(list(refs), timeout=seconds)]
    except ray.exceptions.GetTimeoutError:
        return None
    except ray.exceptions.RayError as error:
        raise LookupError(type(error).__name__) from None


def bring(refs: list[Any]) -> None:
    """Begin to pull these objects to this node, all at once."""
    import ray

    ray.wait(refs, num_returns=len(refs), timeout=0)
