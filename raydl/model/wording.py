"""What is said to people at a command line, for people with Python: keywords, not flags.

Errors name options as flags, the one form that can be found in a text; each front has its words
made of that (windows: ``gui/words``).
"""

from __future__ import annotations

import re

SWITCHES = (
    "extract", "fetch_here", "if_changed", "insecure", "keep_bad", "location_trusted",
    "origin_digest", "origin_mirrors", "overwrite", "repair", "resume", "skip_existing", "verify",
)  # fmt: skip
"""Keywords that are true or false."""

COMMAND_LINE_ALONE = ("base", "host", "json", "no-auth", "port", "token-file")
"""Flags that no call of Python takes; they stay what they are."""

_COMMAND = (
    r"`[^`]*`"
    r"|\braydl (?:fetch|probe|verify|nodes|doctor|coordinator|worker|config)\b[^;,]*"
    r"|\b(?:ray start|docker run)\b[^;,]*"
)
"""What is to be typed into a shell stays as it is."""

_VALUE = r"'[^']*'|[-.](?!\S)|/[^\s,;)]*|s3://\S+|\d[^\s,;)]*|[A-Z][A-Z0-9:=]*(?![a-z])|here\b|every-node|shared"

_WORDS = re.compile(
    rf"(?P<command>{_COMMAND})"
    rf"|--(?P<alone>{'|'.join(COMMAND_LINE_ALONE)})(?![\w-])"
    r"|pipe with -o -(?!\S)"
    rf"|(?<![\w/-])(?P<flag>-o|--[a-z]+(?:-[a-z]+)*)\b(?:[ =](?P<value>{_VALUE})|(?P<label>(?=:)))?"
    r"|(?P<again>run the same command again)"
    r"|the same command(?P<call>)"
)


def in_keywords(text: str) -> str:
    """``--cacert FILE`` as ``cacert="FILE"``, ``--no-resume`` as ``resume=False``."""
    return _WORDS.sub(_keyword, text)


def _keyword(found: re.Match[str]) -> str:
    flag, value = found["flag"], found["value"]
    if found["command"] or found["alone"]:
        return found[0]
    if found["again"]:
        return "call it again"
    if found["call"] is not None:
        return "the same call"
    if flag is None:
        return "pipe with raydl.stream"
    name = "output" if flag == "-o" else flag[2:].replace("-", "_")
    if found["label"] is not None:
        return name
    if name in SWITCHES:
        return f"{name}=True" + (f" {value}" if value else "")
    if name.removeprefix("no_") in SWITCHES:
        return f"{name.removeprefix('no_')}=False" + (f" {value}" if value else "")
    if value is None:
        return f"{name}="
    quoted = value if value in ("N", *"0123456789") else '"' + value.strip("'") + '"'
    return f"{name}={quoted}"
