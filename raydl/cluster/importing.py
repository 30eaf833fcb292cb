"""The one place where ray is imported, when it is first used."""

from __future__ import annotations

import importlib
import logging
import sys
import warnings
from types import ModuleType

from raydl.cluster.process import PROCESS


def ray_module(name: str) -> ModuleType:
    """A module of Ray, such as ``_raylet``. Raises ImportError where this Ray has none."""
    import_ray()
    return importlib.import_module(f"ray.{name}")


def import_ray() -> ModuleType:
    """Import ray, quietly: what it prints on its own goes to standard output."""
    if "ray" in sys.modules:
        return importlib.import_module("ray")  # which waits for a thread that imports it now
    PROCESS.set_defaults()
    # In a notebook without ipywidgets Ray and its tqdm say that they found none.
    logging.getLogger("ray.widgets.util").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray: ModuleType = importlib.import_module("ray")
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray
