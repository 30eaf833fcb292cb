"""Where an option's value comes from: defaults < file < environment < flags.

The file is ``raydl.toml`` in the working directory, else in the user's configuration
directory; the variables are ``RAYDL_`` and the option's name in capitals.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NamedTuple

from raydl.address import is_ours
from raydl.errors import UsageError
from raydl.options import Options, option_fields, parse_option

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "raydl.toml"
PREFIX = "RAYDL_"

DEBUG = "RAYDL_DEBUG"
"""Set, an unexpected error shows its traceback. Not an option: it changes no download."""


class Setting(NamedTuple):
    """One option's value, parsed, and where it came from."""

    value: Any
    where: str


def config_file() -> Path | None:
    """The configuration file in force, or None."""
    from platformdirs import user_config_path

    for path in (Path(FILE_NAME), user_config_path("raydl") / FILE_NAME):
        if path.is_file():
            if not is_ours(path):
                raise UsageError(f"{path} belongs to another user", "it is not used")
            return path
    return None


def settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    file: Path | None = None,
) -> dict[str, Setting]:
    """Every option's value in force. ``flags`` holds only those that were given.

    Raises UsageError that names the file, variable or flag for a key or value that is wrong.
    """
    found = {
        name: Setting(None if field.default is MISSING else field.default, "default")
        for name, field in option_fields().items()
    }
    if file is not None:
        for key, value in _read(file).items():
            name = key.replace("-", "_")
            found[name] = Setting(parse_option(name, value, where=f"{file}: "), str(file))
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable != DEBUG:
            name = variable.removeprefix(PREFIX).lower()
            value = parse_option(
                name,
                environ[variable],
                variable,
                f"{variable}: " if name not in option_fields() else "",
            )
            found[name] = Setting(value, variable)
    for name, value in flags.items():
        flag = "--" + name.replace("_", "-")
        found[name] = Setting(parse_option(name, value, flag), flag)
    return found


def options_from(found: Mapping[str, Setting]) -> Options:
    """The options that these settings make. Raises UsageError where they contradict."""
    return Options(**{name: setting.value for name, setting in found.items()})


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} is not valid TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
