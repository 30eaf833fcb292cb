"""What windows make of words for a terminal."""

import re
from pathlib import Path

import pytest

from raydl.gui.words import in_windows

ROOT = Path(__file__).parent.parent / "raydl"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("--overwrite replaces it", '"Replace a file that exists" replaces it'),
        ("run the same command again to go on from here", "Resume to go on from here"),
        ("see `raydl nodes`; the same command goes on", "see `raydl nodes`; Resume goes on"),
        ("run it again", "Resume"),
        ("free some space, or save elsewhere with -o", "free some space, or save elsewhere"),
        ("save elsewhere, or pipe with -o -", "save elsewhere"),
        ("write -o '/x/' to save into it", "write '/x/' to save into it"),
        ("give another one: --port N, or end that", 'give another one as "port", or end that'),
        ("create it: mkdir -p /x y", "create it"),
        ("starting over (--no-resume)", 'starting over ("Resume what was interrupted" off)'),
        ("--limit-rate is the limit", '"Speed limit" is the limit'),
        (
            "--user, --bearer-env or --header",
            '"User and password", "Variable with a bearer token" or "Headers"',
        ),
        ("ray start --head", "ray start --head"),
        ("--to every-node needs a file", '"save to" every node needs a file'),
        ("-o /PATH/TO/FILE, or -o /DIRECTORY/", "/PATH/TO/FILE, or /DIRECTORY/"),
        ("--output-dir /DIRECTORY", "/DIRECTORY"),
        ("or give --output-dir", 'or give "save to"'),
        ("name them apart: --name '{number}-{name}', or '{host}/{path}'", "name them apart"),
        ("the same command tries these again", "Try again asks for just these"),
        ("start one with `ray start --head`, or give --address HOST:PORT", "start one"),
    ],
)
def test_flags_and_commands(said, shown):
    assert in_windows(said) == shown


@pytest.mark.parametrize(
    "module",
    [
        "output/target",
        "output/filesink",
        "output/takeover",
        "output/stdoutsink",
        "output/partfile",
        "model/failure",
        "download/download",
        "download/recovery",
        "scheduler/bottleneck",
        "landing/everynode",
        "output/placedfile",
        "output/archive",
        "output/packed",
        "output/tree",
        "output/extraction",
        "many/run",
        "many/landing",
        "many/crew",
        "many/wanted",
    ],
)
def test_no_flag_of_a_download_reaches_a_window(module):
    for text in re.findall(r'"([^"\n]*)"', (ROOT / f"{module}.py").read_text()):
        shown = in_windows(text)
        assert not re.search(r"(?<!\S)--?[a-z]", shown), shown
        assert "same command" not in shown
