"""docs/cli.md is what the commands say of themselves.

RAYDL_WRITE_CLI=1 pytest tests/test_cli_docs.py     writes it anew
"""

import os
import re
from pathlib import Path

from tests.conftest import run_raydl

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

WRITES = "RAYDL_WRITE_CLI" in os.environ

INTRODUCTION = """# The command line

What `raydl --help` and its commands say, generated from them. The same names serve as flags, as
keys of `raydl.toml` (in the working directory, else in the user's configuration directory) and as
`RAYDL_…` variables; `raydl config` tells what is in force and why.
"""


def page(folder):
    def help_of(*command):
        done = run_raydl(*command, "--help", cwd=folder, env={"COLUMNS": "90", "TERM": "dumb"})
        assert done.returncode == 0, done.stderr
        lines = [line.rstrip() for line in done.stdout.splitlines()]
        return "\n".join(lines).strip()

    top = help_of()
    commands = re.findall(r"^  (\w+) ", top.partition("Commands:")[2], re.MULTILINE)
    text = f"{INTRODUCTION}\n```text\n{top}\n```\n"
    for command in commands:
        text += f"\n## `raydl {command}`\n\n```text\n{help_of(command)}\n```\n"
    return text


def test_the_page_is_up_to_date(tmp_path):
    text = page(tmp_path)
    if WRITES:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
    assert "## `raydl fetch`" in text
