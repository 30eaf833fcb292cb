"""The rules of docs/architecture.md: which package may import which."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent / "raydl"

STAGES = {
    "model", "settings", "origin", "cluster", "workers", "scheduler", "output", "landing", "view",
}  # fmt: skip

MAY = {
    "model": set(),
    "view": {"model"},
    "settings": {"model"},
    "origin": {"model", "settings"},
    "output": {"model", "settings", "origin"},
    "cluster": {"model", "settings"},
    "node": {"model", "cluster"},
    "workers": {"model", "settings", "origin", "output", "cluster"},
    "scheduler": {"model", "workers"},
    "landing": {"model", "settings", "origin", "output", "workers", "scheduler"},
    "download": STAGES,
    "many": STAGES | {"download"},
    "doctor": {"model", "settings", "origin", "cluster"},
    "api": STAGES | {"download", "many"},
    "gui": STAGES | {"download", "many", "node", "api"},
    "cli": STAGES | {"download", "many", "node", "doctor", "api", "gui"},
}
"""Each package, and which of ours it may import beside itself."""

WHEN_ASKED = {"model/report.py": ("raydl.view.html", "raydl.view.widget")}
"""Notebooks ask a value itself what it looks like; only then is that imported."""

FOREIGN = {
    "requests": "origin",
    "urllib3": "origin",
    "ray": "cluster",
    "typer": "cli",
    "shellingham": "cli/completion.py",
    "fsspec": ("api/filesystem.py", "api/httpfiles.py", "origin/stores.py"),
    "ipywidgets": "view/widget.py",
    "IPython": "view/widget.py",
    "crc32c": "model/digests.py",
    "backports": "output/packed.py",
    "compression": "output/packed.py",
    "boto3": "landing/s3.py",
    "botocore": "landing/s3.py",
    "cryptography": "node/tls.py",
    "tkinter": "gui",
    "tkinterdnd2": "gui",
    "pyarrow": "many",
    "huggingface_hub": "many/hub.py",
    "defusedxml": "many/metalink.py",
    "pandas": "model/manyreport.py",
    "sqlite3": "output/ledger.py",
}
"""Each library outside, and the one place that imports it: its errors become ours there. fsspec
has two: in the API it opens files by us, in the other we list and sign by it."""


def modules():
    return sorted(path for path in HOME.rglob("*.py") if path.parent != HOME)


def name(path):
    return path.relative_to(HOME).as_posix()


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


@pytest.mark.parametrize("path", modules(), ids=name)
def test_packages_import_one_way(path):
    package = name(path).partition("/")[0]
    for module in imports(path):
        top, _, rest = module.partition(".")
        if top == "raydl" and rest and module not in WHEN_ASKED.get(name(path), ()):
            assert rest.partition(".")[0] in MAY[package] | {package}, f"imports {module}"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_each_library_has_one_place(path):
    for module in imports(path):
        homes = FOREIGN.get(module.partition(".")[0], name(path))
        homes = (homes,) if isinstance(homes, str) else homes
        assert any(f"{name(path)}/".startswith(f"{home}/") for home in homes), module


def test_every_package_has_its_rule():
    assert {path.name for path in HOME.iterdir() if path.is_dir()} - {"__pycache__"} == set(MAY)


def test_the_architecture_names_every_module():
    page = (HOME.parent / "docs" / "architecture.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)$", page, re.MULTILINE))
    for path in modules():
        if path.stem != "__init__":
            assert f"`{path.stem}`" in rows[path.parent.name], name(path)


def test_what_is_not_drawn_needs_no_tk():
    for name in (
        "backend",
        "backendserver",
        "downloadqueue",
        "item",
        "manyitem",
        "memory",
        "names",
        "nodecolours",
        "outside",
    ):
        assert "tkinter" not in {m.partition(".")[0] for m in imports(HOME / "gui" / f"{name}.py")}


def test_shipped_code_imports_nothing_of_ours_inside_a_function():
    """By-value pickling does not carry what a function imports when it runs."""
    for name in (
        "workers/worker.py",
        "workers/pieceread.py",
        "workers/nodefiles.py",
        "workers/puts.py",
        "origin/upload.py",
        "workers/sharedfiles.py",
        "workers/shelves.py",
        "workers/smallfiles.py",
        "workers/smallputs.py",
        "output/shelf.py",
        "output/ledger.py",
        "output/settling.py",
        "output/hublayout.py",
        "output/newfile.py",
        "output/seal.py",
        "cluster/objects.py",
        "output/placedfile.py",
        "output/ranges.py",
        "output/finished.py",
        "output/record.py",
        "output/partfile.py",
        "output/journal.py",
        "output/owner.py",
        "output/takeover.py",
        "output/target.py",
        "output/oserrors.py",
        "settings/ownfile.py",
        "model/coverage.py",
        "model/digests.py",
        "model/pieces.py",
        "model/remote.py",
        "model/failure.py",
        "model/weburl.py",
        "model/errors.py",
        "model/wording.py",
        "doctor/examiner.py",
        "origin/client.py",
        "origin/redirects.py",
        "origin/body.py",
        "origin/remotes.py",
        "origin/httpsession.py",
        "origin/answers.py",
    ):
        tree = ast.parse((HOME / name).read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                # What functools makes of a function is pickled by name, which nodes do not have.
                made = [ast.unparse(each) for each in function.decorator_list]
                assert not [m for m in made if "cache" in m], f"{name}: {function.name}"
                inner = [
                    n.module if isinstance(n, ast.ImportFrom) else n.names[0].name
                    for n in ast.walk(function)
                    if isinstance(n, ast.Import | ast.ImportFrom)
                ]
                ours = [m for m in inner if (m or "").startswith("raydl")]
                assert not ours, f"{name}: {function.name}"


def run_python(code):
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_importing_raydl_imports_nothing_heavy():
    run_python("import raydl, sys; assert not {'ray', 'requests'} & set(sys.modules)")


def test_the_command_line_begins_with_nothing_heavy():
    run_python("import raydl.cli.main, sys; assert not {'ray', 'requests'} & set(sys.modules)")


def test_the_api_does_not_import_ray():
    run_python("import raydl.api.functions, sys; assert not {'ray'} & set(sys.modules)")


def test_everything_public_is_there():
    run_python("import raydl\nfor name in dir(raydl): getattr(raydl, name)")
    run_python("from raydl import *; assert callable(fetch) and callable(events)")
    run_python("import raydl.api.functions, raydl; assert callable(raydl.events)")


def test_a_start_does_not_take_what_few_file_systems_need():
    run_python(
        "import raydl.cli.main, raydl.download.download, sys; assert 'ctypes' not in sys.modules"
    )
