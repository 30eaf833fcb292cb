"""What the README says of exit codes is what the errors say."""

import re
from pathlib import Path

from raydl.errors import exit_codes

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_table_of_exit_codes():
    table = README.split("## Exit codes")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", table, re.M)
    assert {int(code): meaning for code, meaning in rows} == exit_codes()
