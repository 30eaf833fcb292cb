"""Every command in the README and the documents is one that there is, and does what it says.

All are parsed. Those that need no more than an origin, a cluster, a bucket or a hub on this machine
are run, with these for what they name.
"""

import hashlib
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import typer

from raydl.cli.main import app
from tests.conftest import _nodes, random_bytes
from tests.landing.conftest import s3_server, service  # noqa: F401 - fixtures
from tests.many.conftest import files, hub  # noqa: F401 - fixtures
from tests.metalinks import file_of, metalink

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SIZE = 3_000_000

ELSEWHERE = {
    "raydl coordinator": "tests/node",
    "raydl worker": "tests/node",
    "raydl gui": "tests/gui",
    "raydl demo": "tests/cli/test_demo.py",
    "raydl fetch URL --to every-node --nodes": "needs labels: tests/landing",
    "raydl fetch hf://datasets/": "tests/many/test_hub.py",
    "raydl doctor": "tests/cli/test_doctor.py",
}
"""Commands of raydl that are not run here, by how they begin, and why. Those of Ray and pip are run
by tests/test_readme.py, test_jobs.py, test_cluster_yaml.py and .ci/run."""


def blocks(language):
    for page in PAGES:
        for found, text in FENCE.findall(page.read_text()):
            if found == language:
                yield page.name, text


def commands():
    """Each line of each block for a shell, without its remark."""
    for page, text in blocks("sh"):
        for line in text.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s+# .*$", "", line).strip()
            if command and not command.startswith("#"):
                yield page, command


COMMANDS = sorted(set(commands()))
FIRST = re.compile(r"(generate-urls \| )?raydl ")
RUN = sorted({c for _, c in COMMANDS if FIRST.match(c) and not any(map(c.startswith, ELSEWHERE))})
PYTHON = [b for b in blocks("python") if b[0] in ("README.md", "index.md", "notebook.md")]
"""docs/api.md has tests with its docstrings, docs/libraries.md has its own."""


def of_raydl(command):
    """The arguments of each call of raydl in that line."""
    for call in re.split(r"&&|\|(?!\|)|2>", command):
        words = shlex.split(call)
        words = next((shlex.split(w) for w in words if w.startswith("raydl ")), words)
        if "raydl" in words:
            yield words[words.index("raydl") + 1 :]


def parsed(arguments):
    """The context of the command that would run."""
    root = typer.main.get_command(app)
    name, command, rest = root.resolve_command(root.make_context("raydl", arguments), arguments)
    return command.make_context(name, rest)


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_commands_are_parsed(page, command):
    for arguments in of_raydl(command):
        parsed(arguments).close()


def test_how_a_wrong_one_would_be_found():
    assert len(COMMANDS) > 30
    with pytest.raises(Exception, match="no-such-flag"):
        parsed(["fetch", "URL", "--no-such-flag"])
    with pytest.raises(Exception, match="fetsch"):
        parsed(["fetsch", "URL"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_in_the_text_exist(page):
    """Of commands in the middle of a line: ``raydl COMMAND … --flag``."""
    root = typer.main.get_command(app)
    text = FENCE.sub("", page.read_text())
    for command, rest in re.findall(r"`raydl ([a-z]+)([^`]*)`", text):
        known = root.get_command(None, command)
        if known is None and rest.startswith(" of ") and page.name == "architecture.md":
            continue  # what Ray's tools call a call
        assert known is not None, command
        flags = {flag for p in known.params for flag in (*p.opts, *p.secondary_opts)} | {"--help"}
        for flag in re.findall(r"(?<!\S)(--[a-z][a-z-]*)", rest):
            assert flag in flags, f"raydl {command} {flag}"


@pytest.fixture(scope="module")
def one_node():
    """For as many nodes as there are on it, a machine's disk has room for one copy."""
    yield from _nodes(1)


@pytest.fixture
def place(make_origin, one_node, tmp_path, monkeypatch):
    """What commands name, on this machine: a directory to run them in, and what to say instead."""
    data = random_bytes(SIZE)
    origin = make_origin(data)
    packed, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(__file__, "hello.py")
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("hello.txt", "hello")
    origin.files = {"/data.tar.zst": packed.getvalue(), "/data.zip": zipped.getvalue(),
                    "/a.zip": zipped.getvalue()}  # fmt: skip
    work = tmp_path / "work"
    for folder in (work, tmp_path / "data", tmp_path / "shared", tmp_path / "datasets"):
        folder.mkdir(parents=True)
    (work / "list.txt").write_text(f"{origin.url('/c.bin')}\n{origin.url('/d.bin')}\n")
    described = file_of(data, [origin.url("/f.iso")], name="distribution.iso", length=1 << 20)
    (work / "distribution.meta4").write_bytes(metalink(described))
    monkeypatch.chdir(work)
    monkeypatch.setenv("RAYDL_ADDRESS", one_node.address)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    instead = {
        r"https://example\.org": origin.url(""),
        r"URL URL …": f"{origin.url('/1')} {origin.url('/2')}",
        r"\bURL\b": origin.url("/u.bin"),
        r"(?<=\s)/(data|shared|datasets)\b": rf"{tmp_path}/\1",
        r"generate-urls": f"echo {origin.url('/e.bin')}",
        r"hf://[\w.]+/[\w.-]+": "hf://org/model",
        r"sha256:…": f"sha256:{hashlib.sha256(data).hexdigest()}",
    }
    return data, instead


def on_this_machine(text, instead):
    for pattern, words in instead.items():
        text = re.sub(pattern, words, text)
    return text


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("command", RUN)
def test_commands_do_what_they_say(command, place, request, tmp_path):
    data, instead = place
    if "hf://" in command:
        request.getfixturevalue("hub")
    if "s3://" in command:
        pytest.importorskip("s3fs")
        store = request.getfixturevalue("service")
        instead = {**instead, "s3://bucket/": f"s3://{store.bucket}/"}
        for key in ("path/model.bin", "path/a.parquet"):
            store.client.put_object(Bucket=store.bucket, Key=key, Body=data[:1000])
    if "verify" in command or "--repair" in command:
        Path("data").mkdir()
        Path("data/distribution.iso").write_bytes(data)
    if "jq" in command:
        command = command.replace("jq -c 'select(.event == \"progress\")'", "grep progress")
    ended = subprocess.run(
        ["bash", "-ec", on_this_machine(command, instead)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("page", "code"), PYTHON)
def test_python_does_what_it_says(page, code, place):
    _, instead = place
    address = os.environ["RAYDL_ADDRESS"]
    instead = {**instead, r'(raydl\.(?:fetch|start|refs)\("[^"]*")': rf'\1, address="{address}"'}
    ended = subprocess.run(
        [sys.executable, "-c", on_this_machine(code, instead)],
        cwd=Path.cwd(), env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
