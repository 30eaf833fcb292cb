"""Text files that the user names."""

from __future__ import annotations

from pathlib import Path

from raydl.model.errors import UsageError


def read_text(file: str, option: str = "") -> str:
    """The text in ``file``. Raises UsageError, which names the option that asked for it."""
    try:
        return Path(file).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        label = f"--{option}: " if option else ""
        raise UsageError(f"{label}{file} cannot be read: {why(error)}") from None


def why(error: Exception) -> str:
    """Why a text file could not be read, in a few words."""
    return getattr(error, "strerror", None) or "it is no text"
