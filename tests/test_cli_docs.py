"""docs/cli.md is what the commands say of themselves.

RAYDL_WRITE_CLI=1 pytest tests/test_cli_docs.py     writes it again
"""

import os
import re
from pathlib import Path

from typer.testing import CliRunner

from raydl.cli.main import app
from raydl.cli.topics import TOPICS, topic
from raydl.settings.config import user_file
from raydl.settings.options import option_fields

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

WRITES = "RAYDL_WRITE_CLI" in os.environ

INTRODUCTION = """# The command line

What `raydl --help`, its commands and the topics of `raydl help` say, generated from them. The same
names serve as flags, as keys of `raydl.toml` and as `RAYDL_…` variables; `raydl config` tells what
is in force and where it comes from, and a line on standard error which files were read.

A flag takes precedence over a variable, that over `raydl.toml` in the working directory, and that
over the one in the user's configuration directory (`~/.config/raydl` on Linux). The one in the
working directory may have come with somebody's repository, so **only tuning counts there**:
`parts`, `part_size`, `connections`, `max_memory`, `retries`, `limit_rate`,
`max_connections_per_origin`, `lowest_speed`, `timeout`, `progress`.
Any other option in it is an error that says where it belongs.

A `RAYDL_…` variable that is no option's is left alone: Kubernetes sets `RAYDL_PORT`,
`RAYDL_SERVICE_HOST` and more in every pod where a service is called raydl, and none of them means
anything here. One that is nearly an option's gets a warning with the right name.

With `--json` standard output gets one object, whatever happens: the result, or on failure the
fields `error` (the class, such as `NetworkError`), `message`, `hint` and `exit_code`, which are
those of a [`failed`](events.md#failed) event, and `report` where some nodes have the file. The
error's line is on standard error as always; with `--progress json` the event is there instead.

`RAYDL_DEBUG=1` tells on standard error what is done, and shows the whole chain of causes of an
error; passwords and queries of URLs are left out.
"""


def page():
    def help_of(*command):
        args = [*command, "--help"]
        shown = CliRunner().invoke(app, args, prog_name="raydl", terminal_width=78)
        assert shown.exit_code == 0, shown.output
        lines = [line.rstrip() for line in shown.output.splitlines()]
        return "\n".join(lines).strip()

    top = help_of()
    commands = re.findall(r"^  (\w+) ", top.partition("Commands:")[2], re.MULTILINE)
    text = f"{INTRODUCTION}\n```text\n{top}\n```\n"
    for command in commands:
        text += f"\n## `raydl {command}`\n\n```text\n{help_of(command)}\n```\n"
    for name in TOPICS:
        shown = topic(name).replace(str(user_file()), "~/.config/raydl/raydl.toml")
        text += f"\n## `raydl help {name}`\n\n```text\n{shown}\n```\n"
    return text


def test_it_names_what_is_tuning():
    named = re.search(r"only tuning counts there\*\*:(.*?)\.", INTRODUCTION, re.DOTALL)[1]
    tuning = [name for name, field in option_fields().items() if field.metadata["tuning"]]
    assert re.findall(r"`(\w+)`", named) == tuning


def test_the_page_is_up_to_date():
    text = page()
    if WRITES:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
    assert "## `raydl fetch`" in text
