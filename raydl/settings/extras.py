"""What is installed beside raydl, of what some sources, destinations and windows need."""

from __future__ import annotations

import sys
from importlib.util import find_spec

EXTRAS = {
    "azure": "adlfs",
    "crc32c": "crc32c",
    "fsspec": "fsspec",
    "gcs": "gcsfs",
    "gui": "tkinter",
    "hf": "huggingface_hub",
    "metalink": "defusedxml",
    "notebook": "ipywidgets",
    "s3": "s3fs",
    "tls": "cryptography",
    "zstd": "compression" if sys.version_info >= (3, 14) else "backports.zstd",
}
"""Extras of the package, each with the module that it needs."""


def extras() -> tuple[list[str], list[str]]:
    """The extras that are here, and those that are not, each of these with its module."""
    here = [extra for extra, module in EXTRAS.items() if _is_there(module)]
    return here, [f"{extra} ({module})" for extra, module in EXTRAS.items() if extra not in here]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False
