"""The one place where ray is imported, when it is first used."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from types import ModuleType


def ray_module(name: str) -> ModuleType:
    """A module of Ray, such as ``_raylet``. Raises ImportError where this Ray has none."""
    import_ray()
    return importlib.import_module(f"ray.{name}")


def import_ray() -> ModuleType:
    """Import ray, quietly: what it prints on its own goes to standard output."""
    if "ray" in sys.modules:
        return importlib.import_module("ray")  # which waits for a thread that imports it now
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # No line about an accelerator setting that will change in a later version.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    ray: ModuleType = importlib.import_module("ray")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray
