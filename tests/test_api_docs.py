"""The public surface is what ``dir(raydl)`` says, and docs/api.md tells of all of it.

RAYDL_WRITE_API=1 pytest tests/test_api_docs.py     writes what is generated in it again

Between ``<!-- raydl.NAME -->`` and ``<!-- / -->`` the page has a name's signature and docstring;
``<!-- raydl.NAME: MEMBER, MEMBER -->`` those of the members, too. So it reads the same wherever
Markdown is shown.
"""

import inspect
import os
import re
from pathlib import Path

import pytest

import raydl
from raydl.settings.options import HEADINGS, IN_BYTES, OptionKeywords, option_fields

FILE = Path(__file__).parent.parent / "docs" / "api.md"
WRITES = "RAYDL_WRITE_API" in os.environ
PAGE = FILE.read_text()
BLOCK = re.compile(r"<!-- raydl\.(\w+)(?:: ([\w, ]+))? -->\n.*?<!-- / -->\n", re.DOTALL)
WIDTH = 88
MADE_ELSEWHERE = (
    raydl.Download, raydl.ManyDownload, raydl.RemoteFile, raydl.Event, raydl.Options,
)  # fmt: skip
"""Classes that callers get from a function, or make by another."""


def annotation(value):
    """A type as a reader wants it: without names that are nobody's outside."""
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    text = re.sub(r"ForwardRef\('(.*?)'\)", r"\1", text)
    return re.sub(r"\bOutput\b", "str | PathLike | None", text)


def signature(call, name, *, skips_self=False):
    """As it is called, on lines of its own where it is long."""
    found = inspect.signature(call)
    shown, starred = [], False
    for parameter in list(found.parameters.values())[skips_self:]:
        if parameter.name.startswith("_"):
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            shown.append(f"**{parameter.name}")
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
            starred = True
        text = parameter.name
        if parameter.annotation is not parameter.empty:
            text += f": {annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            default = parameter.default
            text += f" = {default!r}" if "<factory>" not in repr(default) else " = …"
        shown.append(text)
    returns = "" if found.return_annotation in (found.empty, "None", None) else (
        f" -> {annotation(found.return_annotation)}"
    )  # fmt: skip
    before = "await " if inspect.iscoroutinefunction(call) else ""
    line = f"{before}{name}({', '.join(shown)}){returns}"
    if len(line) > WIDTH:
        line = f"{before}{name}(\n    " + ",\n    ".join(shown) + f",\n){returns}"
    return line


def markdown(docstring):
    """Its examples in fences; what follows them was meant as text."""
    lines, fenced, margin = [], False, 0
    for line in docstring.split("\n"):
        indented = line.startswith("    ")
        if not fenced and line.lstrip().startswith(">>>"):
            lines.append("```pycon")
            fenced = True
            margin = len(line) - len(line.lstrip())
        elif fenced and margin and not indented:
            lines.append("```")
            fenced = False
        lines.append(line[margin:] if fenced else line)
    if fenced:
        lines.append("```")
    return "\n".join(lines).strip() + "\n"


def options_table():
    """The fields of Options, under the headings of ``--help``."""
    types = OptionKeywords.__annotations__
    text = ""
    for key, heading in HEADINGS.items():
        text += f"\n**{heading}**\n\n| keyword | type | default | |\n|---|---|---|---|\n"
        for name, field in option_fields().items():
            if field.metadata["of"] == key:
                kind = getattr(types[name], "__forward_arg__", types[name])
                default = field.default
                if name in IN_BYTES and default is not None:
                    default = f"{default >> 20}MiB"
                cells = f"`{name}`", f"`{kind}`", f"`{default!r}`", field.metadata["help"]
                text += "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"
    return text


def reference(name, members):
    """What the page says of a public name."""
    value = getattr(raydl, name)
    docstring = inspect.getdoc(value).partition("\nOptions, with their defaults:")[0]
    text = f"### `raydl.{name}`\n\n"
    if value not in MADE_ELSEWHERE:
        text += f"```python\n{signature(value, f'raydl.{name}')}\n```\n\n"
    text += markdown(docstring)
    if value is raydl.Options:
        text += options_table()
    for member in members:
        found = inspect.getattr_static(value, member)
        called = member
        if not isinstance(found, property):
            method = isinstance(found, classmethod | staticmethod)
            called = signature(getattr(value, member), member, skips_self=not method)
            called = re.sub(r"-> R$", f"-> {name.replace('Download', 'Report')}", called)
        text += f"\n**`{called}`** · {markdown(inspect.getdoc(getattr(value, member)))}"
    return text


def generated(match):
    name, members = match[1], (match[2] or "").split(", ") if match[2] else []
    opening = f"raydl.{name}: {match[2]}" if match[2] else f"raydl.{name}"
    return f"<!-- {opening} -->\n\n{reference(name, members)}\n<!-- / -->\n"


def test_the_page_is_up_to_date():
    page = BLOCK.sub(generated, PAGE)
    if WRITES:
        FILE.write_text(page)
    assert FILE.read_text() == page
    assert len(BLOCK.findall(page)) > 20


def test_every_public_name_is_documented():
    for name in dir(raydl):
        assert re.search(rf"^<!-- raydl\.{name}\b|^\| `{name}`", PAGE, re.MULTILINE) or (
            name == "__version__" and "`raydl.__version__`" in PAGE
        ), name


def test_only_public_names_are_documented():
    for name, _ in BLOCK.findall(PAGE):
        assert name in dir(raydl), name


def test_every_public_name_has_a_docstring():
    for name in dir(raydl):
        if name != "__version__":
            assert inspect.getdoc(getattr(raydl, name)), name


@pytest.mark.parametrize("name", ["Download", "ManyDownload"])
def test_handles_are_documented_whole(name):
    listed = dict(BLOCK.findall(PAGE))[name]
    handle = getattr(raydl, name)
    members = {n: getattr(handle, n) for n in dir(handle) if not n.startswith("_")}
    for member in members.values():
        assert inspect.getdoc(member)
    assert set(listed.split(", ")) == set(members)


def test_every_option_is_listed():
    listed = PAGE.split("<!-- raydl.Options")[1].split("<!-- / -->")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", listed, re.MULTILINE)) == sorted(option_fields())


def test_links_lead_to_headings():
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([\w.-]+)\)", PAGE):
        assert anchor in anchors, anchor
