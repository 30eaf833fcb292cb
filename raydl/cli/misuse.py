"""A command line that could not be understood: what is wrong with it, and what was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from raydl.model.errors import UsageError
from raydl.model.weburl import redact

_LANES = "--connections N, and without it what is found by measuring"
_LEAVE_OUT = "leave it out"

FOREIGN = {
    ("-x", "-s", "-n", "-j", "--split", "--max-connection-per-server", "--num-connections"): _LANES,
    ("-c", "-C", "--continue", "--continue-at"): f"{_LEAVE_OUT}: raydl goes on by itself",
    ("-O", "-J", "--remote-name", "--content-disposition"):
        f"{_LEAVE_OUT}: the origin's name is what it saves under; -o PATH is another",
    ("-L", "--location"): f"{_LEAVE_OUT}: redirects are followed",
    ("-d", "-P", "--dir", "--directory-prefix"): "--output-dir DIR",
    ("--out", "--output-document"): "-o PATH",
    ("-k", "--no-check-certificate"): "--cacert FILE, or --insecure",
    ("--ca-certificate",): "--cacert FILE",
    ("--certificate", "-E"): "--cert FILE",
    ("--private-key",): "--key FILE",
    ("-q", "-S", "--quiet", "--silent"): "--progress none",
    ("-v", "--verbose", "--debug"): "RAYDL_DEBUG=1 before the command shows what is done",
    ("-u", "--http-user"): "--user USER:PASSWORD",
    ("-A", "-U"): "--user-agent TEXT",
    ("-b", "--cookie", "--load-cookies"): "--cookies FILE",
    ("-t", "--tries", "--retry", "--max-tries"): "--retries N",
    ("-T", "-m", "--max-time", "--connect-timeout"): "--timeout TIME",
    ("-N", "--timestamping"): "--if-changed, of many files",
    ("--no-clobber",): "--skip-existing",
    ("--max-download-limit", "--max-overall-download-limit"): "--limit-rate SIZE",
    ("--all-proxy", "--http-proxy", "--https-proxy"): "--proxy URL",
    ("--referer",): "-H 'Referer: URL'",
    ("--workers", "--max-nodes", "--num-nodes"):
        "all nodes take part; --fetch-nodes KEY=VALUE chooses by a label",
}  # fmt: skip
"""Flags of curl, wget, aria2 and axel that people have in their fingers, and what they are here."""

_HINTS = {flag: hint for flags, hint in FOREIGN.items() for flag in flags}


def explain(raised: Any, arguments: Sequence[str]) -> UsageError:
    """What click says, with what to do about it, and without the secrets of an argument."""
    message = raised.format_message().rstrip(".")
    message, _, possible = message.partition(" (Possible options: ")
    message, _, meant = message.partition(". Did you mean ")
    message = _without_secrets(message, arguments)
    option = getattr(raised, "option_name", "") if message.startswith("No such option") else ""
    return UsageError(message, _hint(raised, arguments, option, possible.rstrip(")") or meant))


def _hint(raised: Any, arguments: Sequence[str], option: str, near: str) -> str:
    if _is_of_a_command(raised) and arguments and may_be_url(arguments[0]):
        url = arguments[0] if "://" in arguments[0] else f"https://{arguments[0]}"
        return f"write: raydl fetch {redact(url)}"
    if option in _HINTS:
        hint = _of_others(option, arguments)
        return f"here it is {hint}" if hint.startswith("-") else hint
    context = getattr(raised, "ctx", None)
    if option and context and (owners := _owners(context.find_root().command.commands, option)):
        return f"{' and '.join(owners[:2])} {'has' if len(owners) == 1 else 'have'} it"
    if near:
        return f"did you mean {near.rstrip('?')}?"
    path = context.command_path if context else " ".join(["raydl", *arguments[:1]])
    return f"see {path} --help"


def _is_of_a_command(raised: Any) -> bool:
    return str(raised.format_message()).startswith("No such command")


def _of_others(option: str, arguments: Sequence[str]) -> str:
    """What another program's flag is here; two of curl's are others' with a number behind."""
    number = rf"{re.escape(option)}[ =]?\d"
    if not re.search(number, " ".join(arguments)):
        if option == "-x":
            return "--proxy URL, or --connections N"
        if option == "-s":
            return "--progress none"
    return _HINTS[option]


def may_be_url(argument: str) -> bool:
    """Whether it looks like one, with a scheme or without."""
    return "://" in argument or bool(re.match(r"[\w-]+(\.[\w-]+)+(:\d+)?/", argument))


def may_be_name(argument: str) -> bool:
    """Whether it looks like a file's name, and can hold no secret."""
    return bool(re.fullmatch(r"[\w. /-]+", argument)) and not may_be_url(argument)


def _owners(commands: Mapping[str, Any], option: str) -> list[str]:
    return [
        f"raydl {name}"
        for name, command in commands.items()
        if any(option in (*param.opts, *param.secondary_opts) for param in command.params)
    ]


def _without_secrets(message: str, arguments: Sequence[str]) -> str:
    """Arguments may be repeated in it, secrets among them."""
    for argument in sorted(arguments, key=len, reverse=True):
        if ":" in argument or "@" in argument:
            for written in (argument, repr(argument)[1:-1]):
                message = message.replace(written, redact(argument))
    return message
