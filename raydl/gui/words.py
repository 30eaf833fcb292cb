"""What is said to people in terminals, for people with windows: fields and buttons, not flags."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from raydl.model.units import format_size
from raydl.settings.options import IN_BYTES, option_fields

PLACES = {
    "here": "here",
    "every-node": "every node",
    "shared": "shared directory",
    "bucket": "bucket",
}
"""What people read for where bytes go."""

LABELS = {
    "parts": "Parts",
    "part_size": "Largest part",
    "connections": "Connections of each machine",
    "max_memory": "Memory limit",
    "fetch_here": "This machine fetches, too",
    "to": "Save to",
    "nodes": "Only nodes with the label",
    "fetch_nodes": "Fetch only on nodes with the label",
    "extract": "Unpack the archive",
    "checksum": "Checksum",
    "checksum_url": "URL of checksums",
    "checksum_file": "File of checksums",
    "origin_digest": "Verify with the server's checksum",
    "keep_bad": "Keep a file that fails verification",
    "overwrite": "Replace a file that exists",
    "skip_existing": "Skip a file that exists",
    "verify": "Verify copies that exist",
    "repair": "Repair a file that exists",
    "resume": "Resume what was interrupted",
    "retries": "Tries after the first",
    "limit_rate": "Speed limit",
    "max_connections_per_origin": "Connections in all",
    "lowest_speed": "Give up a connection below",
    "output_dir": "Save to",
    "timeout": "Longest wait for an answer",
    "mirror": "Mirrors",
    "origin_mirrors": "Use mirrors that the server names",
    "header": "Headers",
    "user": "User and password",
    "bearer_env": "Variable with a bearer token",
    "netrc": "File of passwords (netrc)",
    "cookies": "File of cookies",
    "location_trusted": "Send credentials to redirects",
    "user_agent": "User agent",
    "cacert": "Certificates to trust",
    "cert": "Certificate of this machine",
    "key": "Key of that certificate",
    "insecure": "Do not check certificates",
    "proxy": "Proxy",
}
"""What people read for an option."""

PLACEHOLDERS = {
    "nodes": "all nodes",
    "fetch_nodes": "all nodes",
    "checksum_url": "https://…",
    "checksum_file": "none",
    "limit_rate": "no limit",
    "max_connections_per_origin": "no limit",
    "lowest_speed": "never",
    "mirror": "https://…",
    "header": "Name: value",
    "user": "user:password",
    "bearer_env": "none",
    "cookies": "none",
    "cacert": "the system's",
    "cert": "none",
    "key": "none",
    "parts": "by size",
    "user_agent": "raydl's own",
    "proxy": "the environment's",
}
"""What an empty field says: what holds without a value, or else what such a value looks like."""

EXPLANATIONS = {
    "extract": "Unpack a tar or zip while it comes, into a folder that appears when all is whole.",
    "header": "Send this header, or @ and a path: those in that file, a line each. Private ones "
    "stay with the origin's host.",
}
"""Of options that work otherwise in a terminal."""

_COMMANDS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"start one with `ray start --head`, or give --address HOST:PORT"), "start one"),
    (
        re.compile(r"start one there with: raydl coordinator --port (\d+)"),
        r"press Start cluster in the coordinator's window there, with \1 as port",
    ),
    (re.compile(r"; may be given again(?=\.| \[)"), "; several with spaces between"),
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
_DEFAULT = re.compile(r" \[default: (.+?)\]")
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
    """What people read for the name of an option, or of a place."""
    return LABELS.get(name.replace("-", "_")) or re.sub("[-_]", " ", name)


def explanation(name: str) -> str:
    """What the option does, as its hint."""
    said = EXPLANATIONS.get(name) or in_windows(str(option_fields()[name].metadata["help"]))
    return _DEFAULT.sub("", said)


def placeholder(name: str, value: Any) -> str:
    """What the option's empty field says, while ``value`` is in force."""
    option = option_fields()[name]
    if value not in (None, ()):
        if option.metadata["secret"]:
            return "as configured"
        return format_size(value) if name in IN_BYTES else _plain(value)
    found = _DEFAULT.search(str(option.metadata["help"]))
    return PLACEHOLDERS.get(name) or (found[1] if found else "")


def _plain(value: Any) -> str:
    if isinstance(value, tuple):  # labels
        return " ".join(f"{key}={text}" for key, text in value)
    return f"{value:g} s" if isinstance(value, float) else str(value)
