"""What people read before they know anything: the greeting, and help under headings."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from raydl.cli.greeting import greeting
from raydl.cli.main import app
from raydl.settings.extras import EXTRAS
from raydl.settings.options import HEADINGS, option_fields
from tests.conftest import RAYDL


def help_of(command):
    """What it prints under each heading."""
    shown = CliRunner().invoke(app, [command, "--help"], prog_name="raydl", terminal_width=80)
    sections = re.split(r"^(\S[^\n]*):\n", shown.output, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True)), shown.output


def test_options_are_under_headings():
    sections, _ = help_of("fetch")
    titles = [title for title in sections if title in HEADINGS.values()]
    assert titles == list(HEADINGS.values())
    for name, field in option_fields().items():
        flag = re.compile(rf"^  (-\w, )?--{name.replace('_', '-')}(?![\w-])", re.MULTILINE)
        under = [title for title, text in sections.items() if flag.search(text)]
        assert under == [HEADINGS[field.metadata["of"]]], name
    assert set(re.findall(r"--[\w-]+", sections["Options"])) == {"--help"}


def test_help_fits_80_columns():
    _, text = help_of("fetch")
    assert max(map(len, text.partition("Exit codes")[0].splitlines())) <= 80


def test_without_arguments_it_says_what_it_can_do_here(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    done = subprocess.run(RAYDL, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("raydl ")
    assert lines[1] == "would use this machine alone: no Ray cluster was started here"
    assert "raydl demo" in lines[3]


def test_a_cluster_that_cannot_be_used_is_said(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert "127.0.0.1:1" in greeting().splitlines()[1]


def test_extras_that_are_missing_come_with_what_they_need(monkeypatch):
    monkeypatch.setitem(EXTRAS, "s3", "no_such_module")
    monkeypatch.setitem(EXTRAS, "zstd", "no_such_package.zstd")
    line = greeting().splitlines()[2]
    here, _, missing = line.partition("; not here: ")
    assert "s3 (no_such_module), " in f"{missing}, "
    assert "zstd (no_such_package.zstd), " in f"{missing}, "
    assert not {"s3", "zstd"} & set(here.replace(",", "").split())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="it reads no TOML")
def test_the_extras_are_the_packages():
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    there = set(project["project"]["optional-dependencies"]) - {"dev", "docs", "client"}
    assert set(EXTRAS) == there
