"""What `raydl` says without arguments: what it can do here, in five lines."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from raydl import __version__
from raydl.cluster.address import choose
from raydl.model.errors import RaydlError

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


def greeting() -> str:
    """Five lines: what this is, which cluster, which extras, and what to type."""
    try:
        where = choose("auto").note
    except RaydlError as error:
        where = str(error)
    here = [extra for extra, module in EXTRAS.items() if _is_there(module)]
    missing = [f"{extra} ({module})" for extra, module in EXTRAS.items() if extra not in here]
    extras = f"extras: {', '.join(here) or 'none'}"
    if missing:
        extras += f"; not here: {', '.join(missing)}"
    return (
        f"raydl {__version__}: download with every machine of a Ray cluster at once\n"
        f"would use {where}\n"
        f"{extras}\n"
        "try:  raydl demo  ·  raydl fetch URL  ·  raydl nodes  ·  raydl gui\n"
        "help: raydl --help  ·  raydl fetch --help"
    )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False
