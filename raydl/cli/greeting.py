"""What `raydl` says without arguments: what it can do here, in five lines."""

from __future__ import annotations

from raydl import __version__
from raydl.cluster.address import choose
from raydl.model.errors import RaydlError
from raydl.settings.extras import extras


def greeting() -> str:
    """Five lines: what this is, which cluster, which extras, and what to type."""
    try:
        where = choose("auto").note
    except RaydlError as error:
        where = error.line
    here, missing = extras()
    listed = f"extras: {', '.join(here) or 'none'}"
    if missing:
        listed += f"; not here: {', '.join(missing)}"
    return (
        f"raydl {__version__}: download with every machine of a Ray cluster at once\n"
        f"would use {where}\n"
        f"{listed}\n"
        "try:  raydl demo  ·  raydl fetch URL  ·  raydl nodes  ·  raydl gui\n"
        "help: raydl help  ·  raydl fetch --help  ·  raydl doctor"
    )
