"""What is said to people in terminals, for people with windows: fields and buttons, not flags."""

from __future__ import annotations

import re
from collections.abc import Callable

from raydl.settings.options import option_fields

PLACES = {
    "here": "here",
    "every-node": "every node",
    "shared": "shared directory",
    "bucket": "bucket",
}
"""What people read for where bytes go."""

_COMMANDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"start one with `ray start --head`, or give --address HOST:PORT"), "start one"),
    (re.compile(r"--to ([a-z-]+)"), lambda found: f'"save to" {place(found[1])}'),
    (re.compile(r"^-o (?=/)|--output-dir (?=/)"), ""),
    (re.compile(r"--output-dir\b"), '"save to"'),
    (re.compile(r": --name '.*"), ""),
    (re.compile(r"the same command tries these again"), "Try again asks for just these"),
    (re.compile(r": --port N\b"), ' as "port"'),
    (re.compile(r": mkdir -p .*"), ""),
    (re.compile(r",? or pipe with -o -"), ""),
    (re.compile(r" with -o\b"), ""),
    (re.compile(r" -o (?=\S)"), " "),
    (re.compile(r"run (?:the same command|it) again to\b"), "Resume to"),
    (re.compile(r"run (?:the same command|it) again"), "Resume"),
    (re.compile(r"the same command goes on"), "Resume goes on"),
)
_FLAG = re.compile(r"--(no-)?([a-z][a-z-]*)")


def in_windows(text: str) -> str:
    """``--limit-rate`` as the field "limit rate", the command again as the button."""
    for command, words in _COMMANDS:
        text = command.sub(words, text)
    return _FLAG.sub(_field, text)


def _field(flag: re.Match[str]) -> str:
    if flag[2].replace("-", "_") not in option_fields():
        return flag[0]
    field = f'"{label(flag[2])}"'
    return f"{field} off" if flag[1] else field


def place(name: str) -> str:
    """What people read for that place, which may be one without a word of its own."""
    return PLACES.get(name, label(name))


def label(name: str) -> str:
    """What people read for the name of an option."""
    return re.sub("[-_]", " ", name)
