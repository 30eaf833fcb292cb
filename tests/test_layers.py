"""The rules of docs/architecture.md: who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "raydl"
FRONTS = {"cli", "demo", "filesystem", "gui", "__main__"}
FOREIGN = {
    "requests": "origin",
    "urllib3": "origin",
    "ray": "cluster",
    "tqdm": "progress",
    "typer": "cli",
    "fsspec": "filesystem",
    "ipywidgets": "widget",
    "IPython": "widget",
    "crc32c": "checksum",
    "cryptography": "tls",
    "tkinter": "gui",
    "tkinterdnd2": "gui",
}

# Each module and what of ours it may import, besides errors and units.
MAY = {
    "errors": set(),
    "units": set(),
    "_version": set(),
    "naming": set(),
    "backoff": set(),
    "ending": set(),
    "palette": set(),
    "html": {"palette"},
    "models": {"checksum", "html", "palette"},
    "checksum": set(),
    "textfile": set(),
    "weburl": set(),
    "values": {"checksum", "textfile", "weburl"},
    "options": {"checksum", "values"},
    "event": {"models"},
    "log": {"event"},
    "outcome": {"config", "event", "log", "models", "progress", "target"},
    "config": {"log", "options"},
    "origin": {"checksum", "log", "models", "naming", "weburl", "_version"},
    "plan": {"models"},
    "manners": {"plan"},
    "mirrors": {"checksum", "models"},
    "window": {"models"},
    "crew": {"event", "lane", "mirrors", "models", "plan", "window"},
    "flights": {"crew", "mirrors", "window"},
    "retries": {"backoff", "mirrors", "models"},
    "blame": {"backoff", "crew", "lane", "mirrors", "models"},
    "away": {"lane", "models"},
    "places": {
        "backoff",
        "blame",
        "crew",
        "event",
        "inbox",
        "mirrors",
        "models",
        "retries",
        "window",
    },
    "roster": {
        "crew",
        "flights",
        "lane",
        "limits",
        "mirrors",
        "places",
        "plan",
        "retries",
        "tuner",
        "window",
    },
    "tuner": {"lane"},
    "limits": set(),
    "store": set(),
    "worker": {"models", "origin"},
    "guard": set(),
    "ownfile": set(),
    "address": {"ownfile"},
    "authtoken": {"ownfile"},
    "program": set(),
    "cluster": {"address", "authtoken", "models", "program", "worker"},
    "monitor": set(),
    "raynode": {"program"},
    "membership": {"address", "authtoken", "cluster", "monitor", "raynode"},
    "roles": {"address", "authtoken", "cluster", "membership", "raynode"},
    "console": {"address", "roles"},
    "tls": set(),
    "lane": {"models"},
    "threads": {"company", "lane", "models", "worker"},
    "actorteam": {"cluster", "lane", "models"},
    "fleet": {"actorteam", "lane", "address", "cluster", "ending"},
    "coordinator": {
        "away",
        "blame",
        "company",
        "flights",
        "inbox",
        "retries",
        "roster",
        "meter",
        "waiting",
        "backoff",
        "event",
        "lane",
        "models",
        "window",
        "crew",
        "store",
        "tuner",
        "limits",
        "manners",
        "mirrors",
        "places",
    },
    "onestream": {
        "company",
        "crew",
        "limits",
        "manners",
        "meter",
        "backoff",
        "event",
        "inbox",
        "lane",
        "models",
        "origin",
    },
    "signing": set(),
    "journal": {"models", "ownfile", "signing"},
    "syncer": {"journal", "partfile"},
    "partfile": {"ownfile"},
    "target": {"checksum", "models", "naming", "options"},
    "access": {"models", "options", "origin", "textfile"},
    "lookup": {
        "access",
        "backoff",
        "control",
        "event",
        "models",
        "options",
        "origin",
    },
    "mirrorsearch": {
        "control",
        "event",
        "inbox",
        "lookup",
        "mirrors",
        "models",
        "options",
        "origin",
    },
    "proof": {"checksum", "models", "options"},
    "sink": {"partfile", "checksum", "journal", "models", "origin", "syncer", "target"},
    "partmap": {"event"},
    "tally": {"event", "models"},
    "widget": {"event", "html", "palette", "partmap", "tally"},
    "progress": {"event", "log", "tally", "widget"},
    "company": set(),
    "pipe": {"checksum", "ending", "waiting"},
    "transfer": {
        "address",
        "company",
        "coordinator",
        "event",
        "fleet",
        "inbox",
        "lookup",
        "manners",
        "mirrorsearch",
        "models",
        "onestream",
        "options",
        "plan",
        "threads",
    },
    "reader": {
        "address",
        "backoff",
        "event",
        "lookup",
        "models",
        "options",
        "origin",
        "transfer",
    },
    "control": set(),
    "meter": {"models"},
    "inbox": {"lane", "mirrors", "models"},
    "waiting": set(),
}


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if name != "__init__":
            yield path, name


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "raydl":
                yield from (f"raydl.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


@pytest.mark.parametrize(("path", "name"), list(modules()), ids=lambda v: getattr(v, "name", v))
def test_imports_go_one_way(path, name):
    for module in imports(path):
        top, _, rest = module.partition(".")
        if top in FOREIGN:
            assert FOREIGN[top] == name, f"{path.name} imports {module}"
        if top != "raydl":
            continue
        ours = rest.partition(".")[0]
        assert ours not in FRONTS or name in FRONTS, f"{path.name} imports the front {ours}"
        if name in MAY:
            assert ours in MAY[name] | {"errors", "units", name}, f"{path.name} imports {ours}"


def test_every_module_has_its_rule():
    free = {"api", "download", "handle", *FRONTS}
    assert {name for _, name in modules()} == set(MAY) | free


def test_what_is_not_drawn_needs_no_tk():
    for name in ("backend", "lineup", "memory"):
        assert "tkinter" not in {
            m.partition(".")[0] for m in imports(PACKAGE / "gui" / f"{name}.py")
        }


def test_shipped_code_imports_nothing_of_ours_inside_a_function():
    """By-value pickling does not carry what a function imports when it runs."""
    for name in (
        "worker.py",
        "models.py",
        "errors.py",
        "origin/client.py",
        "origin/session.py",
        "origin/answers.py",
    ):
        tree = ast.parse((PACKAGE / name).read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                inner = [
                    n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)
                ]
                assert not inner, f"{name}: {function.name}"


def run_python(code):
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_raydl_imports_nothing_heavy():
    run_python("import raydl, sys; assert not {'ray', 'requests', 'tqdm'} & set(sys.modules)")


def test_the_api_does_not_import_ray():
    run_python("import raydl.api, sys; assert not {'ray', 'tqdm'} & set(sys.modules)")


def test_a_start_does_not_take_what_few_file_systems_need():
    run_python("import raydl.cli, raydl.download, sys; assert 'ctypes' not in sys.modules")


def test_everything_public_is_there():
    run_python("import raydl\nfor name in raydl.__all__: getattr(raydl, name)")
    run_python("from raydl import *; assert callable(fetch) and callable(events)")
    run_python("import raydl.api, raydl; assert callable(raydl.events)")
