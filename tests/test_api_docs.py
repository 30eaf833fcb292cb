"""The public surface is what ``raydl.__all__`` says, and docs/api.md tells of all of it."""

import inspect
import re
from pathlib import Path

import raydl

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text()


def test_every_public_name_is_documented():
    for name in raydl.__all__:
        assert re.search(rf"`(raydl\.)?{name}`", PAGE), name


def test_every_heading_is_a_public_name():
    for name in re.findall(r"^### `(\w+)`", PAGE, re.MULTILINE):
        assert name in raydl.__all__, name


def test_every_public_name_has_a_docstring():
    for name in raydl.__all__:
        if name != "__version__":
            assert inspect.getdoc(getattr(raydl, name)), name


def test_the_handle_is_documented_whole():
    for name, member in vars(raydl.Download).items():
        if not name.startswith("_"):
            assert f"`{name}" in PAGE, name
            assert inspect.getdoc(member), name
