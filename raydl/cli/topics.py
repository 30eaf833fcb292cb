"""``raydl help TOPIC``: what no single flag tells, on a screen each."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Callable, Iterable
from typing import NamedTuple

from raydl.model.errors import UsageError, exit_codes
from raydl.settings.config import PREFIX, user_file
from raydl.settings.options import option_fields

WIDTH = 79


class Topic(NamedTuple):
    """What it is about, in a line, and the text."""

    title: str
    text: Callable[[], str]


def topic(name: str, commands: Iterable[str] = ()) -> str:
    """The text of a topic. Raises UsageError, which names a near one, or a near command."""
    name = name.lower().replace("_", "-")
    if name in TOPICS:
        found = TOPICS[name]
        return f"{found.title}\n\n{found.text()}"
    near = difflib.get_close_matches(name, [*TOPICS, *commands], n=1, cutoff=0.5)
    raise UsageError(
        f"{name!r} is neither a topic nor a command",
        f"did you mean {near[0]}?" if near else f"topics are {', '.join(TOPICS)}",
    )


def overview() -> str:
    """The topics, each in a line."""
    rows = _rows((name, topic.title) for name, topic in TOPICS.items())
    return (
        f"Topics, each on a screen (raydl help TOPIC):\n\n{rows}\n\n"
        "raydl help COMMAND shows a command's flags, raydl --help the commands."
    )


def _rows(pairs: Iterable[tuple[str, str]], indent: str = "  ") -> str:
    """Two columns."""
    listed = [(left, " ".join(right.split())) for left, right in pairs]
    width = max(len(left) for left, _ in listed) + 2
    return "\n".join(
        textwrap.fill(
            f"{left:<{width}}{right}" if right else left,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + " " * width,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for left, right in listed
    )


def _addresses() -> str:
    rows = [
        ("auto", "RAY_ADDRESS, else the cluster that `ray start` left on this machine, else this "
         "machine alone; a line says which. The default."),
        ("HOST:PORT", "The cluster whose head is there; Ray's port is usually 6379."),
        ("ray://HOST:PORT", "Through Ray's client, which needs ray[client]; usually 10001."),
        ("local", "A Ray of its own on this machine, for as long as the command runs."),
        ("none", "This machine alone; Ray is not even imported."),
    ]  # fmt: skip
    return (
        f"{_rows(rows)}\n\n"
        "A cluster that cannot be used ends no download: a line says why, and this\n"
        "machine goes on. With --no-fetch-here it is an error.\n\n"
        "  raydl doctor                finds what does not work\n"
        "  raydl nodes                 shows what would be used\n"
        "  raydl coordinator           makes this machine the head of a cluster\n"
        "  raydl worker HOST:PORT      adds this machine to one"
    )


def _completion() -> str:
    return (
        "  raydl --install-completion  for bash, zsh or fish, whichever this is\n"
        "  raydl --show-completion     prints what that installs\n\n"
        "From the next shell on, Tab completes commands, flags, and values: places of\n"
        "--to, styles of --progress, and for --address the clusters that were started\n"
        "or joined on this machine. Everywhere else it completes names of files."
    )


def _configuration() -> str:
    tuning = [name for name, field in option_fields().items() if field.metadata["tuning"]]
    rows = [
        ("--part-size 4MiB", "A flag."),
        (f"{PREFIX}PART_SIZE=4MiB", "A variable."),
        ("raydl.toml", "In the working directory, with tuning alone, for it may be a stranger's: "
         f"{', '.join(tuning)}."),
        ("raydl.toml", "The user's own, with any option; its place is below."),
    ]  # fmt: skip
    return (
        "Each option of `raydl fetch` is a flag, a variable and a key; the first of these\n"
        f"that has it counts:\n\n{_rows(rows)}\n\n"
        f"The user's own is {user_file()}.\n"
        'A line of such a file is  part_size = "4MiB".\n'
        "Sizes are bytes, or have a unit (64MiB, 10MB); times are seconds, or 500ms, 2m.\n\n"
        "  raydl config                prints what is in force, and from where"
    )


def _destinations() -> str:
    rows = [
        ("-o PATH", "This file."),
        ("-o DIR/", "The origin's name in this directory; without -o, in the working directory."),
        ("-o -", "Standard output: raydl fetch URL -o - | tar x"),
        ("-o s3://BUCKET/KEY", "A bucket; each node sends what it fetched."),
        ("--output-dir DIR", "Many files, below this directory."),
        ("--extract -o DIR", "What is in the archive, unpacked as it comes."),
        ("--to every-node", "The same file on the disk of each node; -o is absolute, "
         "--nodes KEY=VALUE chooses some."),
        ("--to shared", "A directory that all nodes see: each writes there; -o is absolute."),
    ]  # fmt: skip
    return (
        f"{_rows(rows)}\n\n"
        "Until it is whole and verified, a file's bytes are in NAME.part, and the same\n"
        "command goes on from there. What is there already is left alone: --overwrite\n"
        "replaces it, --skip-existing counts it as done."
    )


def _exit_codes() -> str:
    rows = [(f"{code:>3}", text) for code, text in exit_codes().items()]
    return _rows(rows, indent="")


def _sources() -> str:
    rows = [
        ("https://HOST/PATH", "One file, over http or https."),
        ("s3://BUCKET/KEY", "An object; gs:// and az:// likewise."),
        ("s3://BUCKET/PREFIX/", "All below a prefix."),
        ("hf://ORG/NAME[@REVISION]", "A repository of the Hugging Face hub; with /PATH a part of "
         "it."),
        ("-i LIST", "A URL a line, or URL, path and digest between tabs; .jsonl, .csv, .parquet."),
        ("-i SHA256SUMS --base URL", "Names with their digests, below that URL."),
        ("-i FILE.meta4", "A Metalink: mirrors, and digests of pieces."),
    ]  # fmt: skip
    return (
        f"{_rows(rows)}\n\n"
        "Several URLs are several files. --include and --exclude choose from hf:// and\n"
        "prefixes. --mirror URL is another URL of the same file.\n\n"
        "  raydl probe URL             shows what an origin offers"
    )


TOPICS = {
    "addresses": Topic("Which Ray cluster --address means", _addresses),
    "completion": Topic("Have the shell complete commands and flags", _completion),
    "configuration": Topic("Where an option's value comes from", _configuration),
    "destinations": Topic("Where the bytes go", _destinations),
    "exit-codes": Topic("What a command's exit code says", _exit_codes),
    "sources": Topic("What can be fetched", _sources),
}
"""By name, in order."""
