"""What a shell offers where somebody presses Tab: commands, flags, and values that are few.

The shells' own part are typer's scripts; this is what these call, with a protocol for each shell.
Where nothing is offered they complete names of files. Typer's own answer would import rich, and
knows nothing of bash, which takes an address apart at its colons.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer

from raydl.model.digests import ALGORITHMS
from raydl.model.errors import UsageError
from raydl.model.units import printable
from raydl.settings.values import PLACES, PROGRESS_STYLES

VARIABLE = "_RAYDL_COMPLETE"

SHELLS = ("bash", "zsh", "fish")


class Offer(NamedTuple):
    """A word that fits, and what it is for."""

    word: str
    help: str = ""


def install() -> str:
    """Have the user's shell ask; returns a line that says what was done. Raises UsageError."""
    from typer.completion import install as write  # type: ignore[attr-defined]

    shell, path = write(shell=_shell(), prog_name="raydl", complete_var=VARIABLE)
    return f"completion for {shell} is in {path}; a new shell has it"


def script() -> str:
    """What that writes."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    return str(get_completion_script(prog_name="raydl", complete_var=VARIABLE, shell=_shell()))


def _shell() -> str:
    from shellingham import ShellDetectionFailure, detect_shell

    try:
        shell = str(detect_shell()[0])
    except ShellDetectionFailure:
        shell = Path(os.environ.get("SHELL", "")).name
    if shell not in SHELLS:
        raise UsageError(
            f"there is no completion for {shell or 'this shell'}", f"{', '.join(SHELLS)} have it"
        )
    return shell


def answer(command: Any, environ: Mapping[str, str] = os.environ) -> int:
    """Print what the shell wants to know, as it wants it; returns the exit code."""
    shell = environ[VARIABLE].removeprefix("complete_")
    words, cut = _words(shell, environ)
    found = offers(command, words[:-1], words[-1])
    if shell == "fish" and environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if found else 1
    print(_for_shell(shell, found, cut))
    return 0


def _words(shell: str, environ: Mapping[str, str]) -> tuple[list[str], int]:
    """The words after ``raydl``, up to the one that is being written; of that bash has, as it sees
    it, some characters already."""
    if shell == "bash":
        typed = environ.get("COMP_WORDS", "").split("\n")[: int(environ["COMP_CWORD"]) + 1]
        words = _glued(typed)[1:] or [""]
        return words, max(map(words[-1].rfind, ":=")) + 1
    line = environ.get("_TYPER_COMPLETE_ARGS", "")
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation that is not closed yet
        words = line.split()
    return [*words[1:], *([""] if line[-1:].isspace() else [])] or [""], 0


def _glued(typed: Iterable[str]) -> list[str]:
    """Words that bash took apart at ``:`` and ``=``, as they were (COMP_WORDBREAKS)."""
    words: list[str] = []
    goes_on = False
    for word in typed:
        is_break = bool(re.fullmatch("[:=]+", word))
        if words and (is_break or goes_on):
            words[-1] += word
        else:
            words.append(word)
        goes_on = is_break
    return words


def offers(command: Any, words: Sequence[str], begun: str) -> list[Offer]:
    """What fits at ``begun``, after these words."""
    awaited: Any = None
    given: set[str] = set()
    arguments = 0
    for word in words:
        if awaited is not None:
            awaited = None
        elif word.startswith("-") and len(word) > 1:
            name, sign, _ = word.partition("=")
            option = _options(command).get(name)
            if option is not None:
                given.add(option.name)
                awaited = None if option.is_flag or sign else option
        elif hasattr(command, "commands"):
            command = command.commands.get(word)
            if command is None:
                return []
        else:
            arguments += 1
    name, sign, _ = begun.partition("=")
    if awaited is not None:
        found = _values(awaited.name)
    elif begun.startswith("-") and sign and name in _options(command):
        values = _values(_options(command)[name].name)
        found = [Offer(f"{name}={value}", text) for value, text in values]
    elif begun.startswith("-"):
        found = _flags(command, given)
    elif hasattr(command, "commands"):
        found = _commands(command)
    else:
        named = [p for p in command.params if p.param_type_name == "argument"]
        last = named[min(arguments, len(named) - 1)] if named else None
        takes_more = last is not None and (arguments < len(named) or last.nargs < 0)
        found = _values(last.name) if last is not None and takes_more else []
        if last is not None and last.name == "address":  # a worker joins a cluster that is there
            found = [offer for offer in found if offer.word not in WORDS]
    return [offer for offer in found if offer.word.startswith(begun)]


def _options(command: Any) -> dict[str, Any]:
    return {
        name: param
        for param in command.get_params(typer.Context(command))
        if param.param_type_name == "option"
        for name in (*param.opts, *param.secondary_opts)
    }


def _flags(command: Any, given: set[str]) -> list[Offer]:
    """Those that may come, long names alone; the ones that switch something off come last."""
    options = dict.fromkeys(_options(command).values())
    may_come = [o for o in options if not o.hidden and (o.name not in given or o.multiple)]
    on = [Offer(_longest(o.opts), _first(o.help)) for o in may_come]
    off = [Offer(_longest(o.secondary_opts), _first(o.help)) for o in may_come if o.secondary_opts]
    return on + off


def _longest(names: Sequence[str]) -> str:
    return max(names, key=len)


def _commands(group: Any) -> list[Offer]:
    return [Offer(name, command.get_short_help_str(70)) for name, command in group.commands.items()]


def _first(text: str | None) -> str:
    """The beginning of a help text, for there is one line."""
    return re.split(r"[.:;] | \[default", text or "")[0].rstrip(".")


def _values(name: str) -> list[Offer]:
    """What an option or argument of that name takes; empty where it may be anything, or a file."""
    return _FINDERS[name]() if name in _FINDERS else []


WORDS = {
    "auto": "RAY_ADDRESS, what `ray start` left here, or this machine alone",
    "none": "this machine alone",
    "local": "a Ray of its own on this machine",
}
"""The words for ``--address`` that are no address."""


def _addresses() -> list[Offer]:
    """Ray's own notes of what was started here, and the coordinators that windows were in."""
    from raydl.cluster.address import left_by_ray_start
    from raydl.gui.memory import Memory

    seen = dict.fromkeys(Memory().addresses, "joined before")
    if left := left_by_ray_start():
        seen[left] = "started here by `ray start`"
    if (named := os.environ.get("RAY_ADDRESS", "").strip()) and named not in WORDS:
        seen[named] = "RAY_ADDRESS"
    shown = {address: text for address, text in seen.items() if address == printable(address)}
    return [Offer(*pair) for pair in {**WORDS, **shown}.items()]


def _fixed(words: Iterable[str]) -> Callable[[], list[Offer]]:
    return lambda: [Offer(word) for word in words]


def _topics() -> list[Offer]:
    from raydl.cli.main import app
    from raydl.cli.topics import TOPICS

    topics = [Offer(name, topic.title) for name, topic in TOPICS.items()]
    return topics + _commands(typer.main.get_command(app))


_FINDERS: dict[str, Callable[[], list[Offer]]] = {
    "address": _addresses,
    "to": _fixed(PLACES),
    "progress": _fixed(PROGRESS_STYLES),
    "checksum": _fixed(f"{algorithm}:" for algorithm in ALGORITHMS),
    "role": _fixed(("coordinator", "worker")),
    "topic": _topics,
}


def _for_shell(shell: str, found: Sequence[Offer], cut: int) -> str:
    if shell == "bash":
        return "\n".join(offer.word[cut:] for offer in found)
    if shell == "fish":
        return "\n".join(f"{offer.word}\t{offer.help}" for offer in found)
    if not found:
        return "_files"
    described = (
        ":".join(filter(None, (offer.word.replace(":", r"\:"), offer.help))) for offer in found
    )
    return f"local -a offers; offers=({shlex.join(described)}); _describe -V raydl offers"
