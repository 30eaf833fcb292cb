"""`raydl` in the package index is somebody else's: nobody is told to install it."""

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
OURS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXTS = [
    path
    for pattern in (
        "*.md", "*.yaml", "*.toml", ".ci/run", ".ci/build", ".github/**/*.md", ".mkdocs.yml",
        "docs/*.md", "docs/*.ipynb", "docs/*.py", "docs/kubernetes/*", "raydl/**/*.py",
        "benchmarks/**/*.py", "benchmarks/**/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
]  # fmt: skip


def installed(text):
    """What that text tells people to install, but for what is a path."""
    for line in re.findall(r"\b(?:pip\d?|pipx|uv|conda)\s+(?:pip\s+)?(?:install|add)\b(.*)", text):
        command = re.split(r"`|\s#|&&|;", line)[0]
        yield from (word.strip("\"',.()\\") for word in command.split())


def is_from_the_index(word):
    return re.match(r"raydl(-download)?(?![\w/.-])", word) is not None


def test_how_such_a_text_would_be_found():
    for text in ('pip install raydl', 'python3 -m pip install -U "ray[default]==2" raydl',
                 'run `pip install "raydl[gui]"` first', ".venv/bin/pip install raydl, with",
                 "uv pip install raydl==0.1", "pip install raydl-download && raydl x"):  # fmt: skip
        assert any(map(is_from_the_index, installed(text))), text
    for text in ("pip install . && raydl demo", "pip install ray  # raydl comes by itself",
                 "pip install raydl_download-0.1.0-py3-none-any.whl", "pip install '.[gui]'",
                 "pip install ~/raydl-wheel/*.whl", "pip install raydl/"):  # fmt: skip
        assert not any(map(is_from_the_index, installed(text))), text


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_is_told_to_install_it(path):
    assert not [word for word in installed(path.read_text()) if is_from_the_index(word)]


def test_the_distribution_has_a_name_of_its_own():
    assert OURS["name"] == "raydl-download"
    assert OURS["scripts"] == {"raydl": "raydl.__main__:main"}
