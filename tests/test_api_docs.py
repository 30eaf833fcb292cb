"""The public surface is what ``raydl.__all__`` says, and docs/api.md tells of all of it."""

import inspect
import re
from pathlib import Path

import raydl

PAGE = (Path(__file__).parent.parent / "docs" / "api.md").read_text()


def test_every_public_name_is_documented():
    for name in raydl.__all__:
        assert re.search(rf"(^::: raydl\.{name}|`(raydl\.)?{name}`)$|^\| `{name}`", PAGE, re.M) or (
            name == "__version__" and "`raydl.__version__`" in PAGE
        ), name


def test_only_public_names_are_documented():
    for name in re.findall(r"^::: raydl\.(\w+)", PAGE, re.MULTILINE):
        assert name in raydl.__all__, name


def test_every_public_name_has_a_docstring():
    for name in raydl.__all__:
        if name != "__version__":
            assert inspect.getdoc(getattr(raydl, name)), name


def test_the_handle_is_documented_whole():
    listed = re.search(r"^::: raydl\.Download\n.*\n +members: \[(.*)\]", PAGE, re.MULTILINE)[1]
    members = {n: getattr(raydl.Download, n) for n in dir(raydl.Download) if not n.startswith("_")}
    assert set(listed.split(", ")) == set(members)
    for name, member in members.items():
        assert inspect.getdoc(member), name
