"""Where an option's value comes from: defaults < files < environment < flags.

The files are the user's own ``raydl.toml``, in the configuration directory, and over it the one
in the working directory. That one may have come with somebody's repository or archive, so of it
only tuning counts. The variables are ``RAYDL_`` and the option's name in capitals; others that
begin so belong to others, as those that Kubernetes sets for a service called raydl.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from pathlib import Path
from typing import Any, NamedTuple

from raydl.model.errors import UsageError
from raydl.model.log import DEBUG
from raydl.settings.options import Options, option_fields, parse_option

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "raydl.toml"
PREFIX = "RAYDL_"

NEAR = 0.8
"""From this likeness on, a variable is an option's that was misspelt: PARTS and Kubernetes' PORT
have 0.67."""

Tell = Callable[[str], None]


class Setting(NamedTuple):
    """One option's value, parsed, and where it came from."""

    value: Any
    where: str


class ConfigFile(NamedTuple):
    """A configuration file; ``is_mine``: its user wrote it, so all of it counts."""

    path: Path
    is_mine: bool

    def __str__(self) -> str:
        return str(self.path) if self.is_mine else f"{self.path} in this directory (tuning only)"


def user_file() -> Path:
    """The file of this user, where any option counts."""
    from platformdirs import user_config_path

    return user_config_path("raydl") / FILE_NAME


def config_files() -> list[ConfigFile]:
    """The configuration files in force, the weaker first."""
    mine, here = user_file(), Path(FILE_NAME)
    found = [ConfigFile(mine, True)] if _is_file(mine) else []
    if _is_file(here) and not (found and here.samefile(mine)):
        found.append(ConfigFile(here, False))
    return found


def _is_file(path: Path) -> bool:
    """Whether there is one; what cannot be looked into holds none for us."""
    try:
        return path.is_file()
    except OSError:
        return False


def settings(
    flags: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    files: Iterable[ConfigFile] = (),
    tell: Tell | None = None,
) -> dict[str, Setting]:
    """Every option's value in force. ``flags`` holds only those that were given.

    Raises UsageError that names the file, variable or flag for a key or value that is wrong;
    ``tell`` gets what a person should know.
    """
    found = {
        name: Setting(None if field.default is MISSING else field.default, "default")
        for name, field in option_fields().items()
    }
    for file in files:
        found.update(_from_file(file))
    found.update(_from_environment(environ, tell or _tell_nobody))
    for name, value in flags.items():
        flag = _flag(name)
        found[name] = Setting(parse_option(name, value, flag), flag)
    return found


def options_from(found: Mapping[str, Setting]) -> Options:
    """The options that these settings make. Raises UsageError where they contradict."""
    return Options(**{name: setting.value for name, setting in found.items()})


def progress_style(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """How progress is shown, also where what else is said makes no sense; empty where unsaid."""
    flag, style = _flag("progress"), ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == flag:
            style = following
        elif argument.startswith(f"{flag}="):
            style = argument.removeprefix(f"{flag}=")
    styles: list[Any] = [environ.get(_variable("progress"), ""), style]
    for file in reversed(config_files()):
        with contextlib.suppress(UsageError):
            styles.insert(0, _read(file.path).get("progress", ""))
    return str(next(filter(None, reversed(styles)), ""))


def _from_file(file: ConfigFile) -> Iterator[tuple[str, Setting]]:
    for key, value in _read(file.path).items():
        name = key.replace("-", "_")
        option = option_fields().get(name)
        # Before the value is looked at, which may name a file to be read.
        if option is not None and not (file.is_mine or option.metadata["tuning"]):
            raise UsageError(
                f"{file.path}: {name} does not count from a working directory, where it may be a "
                "stranger's",
                f"it belongs in {user_file()}, {_variable(name)} or {_flag(name)}",
            )
        yield name, Setting(parse_option(name, value, where=f"{file.path}: "), str(file.path))


def _from_environment(environ: Mapping[str, str], tell: Tell) -> Iterator[tuple[str, Setting]]:
    known = option_fields()
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or variable == DEBUG:
            continue
        if name in known:
            yield name, Setting(parse_option(name, environ[variable], variable), variable)
        elif near := difflib.get_close_matches(name, known, n=1, cutoff=NEAR):
            tell(
                f"{variable} is no option's and changes nothing: did you mean {_variable(near[0])}?"
            )


def _tell_nobody(line: str) -> None:
    """For a caller that does not listen."""


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            # Of what was opened, not of what has the name by now.
            if sys.platform != "win32" and os.fstat(file.fileno()).st_uid not in (os.getuid(), 0):
                raise UsageError(f"{path} belongs to another user", "it is not used")
            return tomllib.load(file)
    except (ValueError, RecursionError) as error:  # of tomllib, of UTF-8, of integers
        raise UsageError(f"{path} is not valid TOML: {error}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
