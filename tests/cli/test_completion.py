"""What a shell is answered where somebody presses Tab."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from raydl.cli import completion
from raydl.cli.completion import answer, offers
from raydl.cli.main import app
from raydl.model.errors import UsageError
from tests.conftest import RAYDL

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def command():
    return typer.main.get_command(app)


def words(command, line):
    """What is offered after that line, of which the last word may be begun."""
    *before, begun = line.split(" ")
    return [offer.word for offer in offers(command, before, begun)]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fe", ["fetch"]),
        ("fetch --to ", ["here", "every-node", "shared"]),
        ("fetch --to=e", ["--to=every-node"]),
        ("fetch URL -o f --progress p", ["plain"]),
        ("fetch URL --skip", ["--skip-existing"]),
        ("fetch URL --no-skip", ["--no-skip-existing"]),
        ("fetch URL --skip-existing --skip", []),
        ("fetch --header x --heade", ["--header"]),
        ("fetch URL other", []),
        ("fetch -o ", []),
        ("fetch URL --checksum sha5", ["sha512:"]),
        ("nodes --address lo", ["local"]),
        ("worker ", []),
        ("help exi", ["exit-codes"]),
        ("help prob", ["probe"]),
        ("gui --role w", ["worker"]),
        ("nosuch --", []),
        ("verify file other", []),
    ],
)
def test_what_fits(command, line, offered):
    assert words(command, line) == offered


def test_flags_come_with_a_few_words(command):
    shown = dict(offers(command, ["fetch"], "--parts"))
    assert shown == {"--parts": "Divide the file into this many parts"}


def test_addresses_of_clusters_that_were_seen_here(command, home, monkeypatch):
    left = home / "ray" / "ray_current_cluster"
    left.parent.mkdir()
    left.write_text("10.0.0.1:6379")
    remembered = home / "raydl" / "windows.json"
    remembered.parent.mkdir()
    remembered.write_text(json.dumps({"addresses": ["10.0.0.2:6379", "10.0.0.3\x1b[m"]}))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.4:6379")
    seen = ["10.0.0.2:6379", "10.0.0.1:6379", "10.0.0.4:6379"]
    assert words(command, "fetch --address ") == ["auto", "none", "local", *seen]


def of_bash(line):
    """The words of a line as bash has them: broken at colons and equals signs."""
    broken = line.replace(":", "\n:\n").replace("=", "\n=\n").replace(" ", "\n")
    return {"COMP_WORDS": broken, "COMP_CWORD": str(broken.count("\n"))}


@pytest.mark.parametrize(
    ("shell", "environ", "printed"),
    [
        ("bash", of_bash("raydl fetch http://h/f --to e"), "every-node\n"),
        ("bash", of_bash("raydl fetch http://h/f --to=e"), "every-node\n"),
        ("bash", of_bash("raydl fetch --address 10.0.0.1:6"), "6379\n"),
        ("bash", of_bash("raydl fetch http://h/f"), "\n"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "raydl fetch URL --prox"},
         "local -a offers; offers=('--proxy:Ask through this proxy'); _describe -V raydl offers\n"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "raydl fetch URL -o "}, "_files\n"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "raydl fetch 'URL --"}, "_files\n"),
        ("fish", {"_TYPER_COMPLETE_ARGS": "raydl fetch URL --prox"},
         "--proxy\tAsk through this proxy\n"),
    ],
)  # fmt: skip
def test_each_shell_is_answered_in_its_way(command, capsys, monkeypatch, shell, environ, printed):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert answer(command, {"_RAYDL_COMPLETE": f"complete_{shell}", **environ}) == 0
    out = capsys.readouterr().out
    if "'URL --" in environ.get("_TYPER_COMPLETE_ARGS", ""):
        assert "offers=(" in out
    else:
        assert out == printed


def test_fish_asks_first_whether_there_is_anything(command, capsys):
    asked = {"_RAYDL_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "is-args"}
    assert answer(command, {**asked, "_TYPER_COMPLETE_ARGS": "raydl fe"}) == 0
    assert answer(command, {**asked, "_TYPER_COMPLETE_ARGS": "raydl fetch -o "}) == 1
    assert capsys.readouterr().out == ""


def test_with_a_real_bash(tmp_path):
    program = tmp_path / "raydl"
    program.write_text(f'#!/bin/sh\ncd {ROOT} && exec {" ".join(RAYDL)} "$@"\n')
    program.chmod(0o755)
    script = f"""
        PATH={tmp_path}:$PATH
        source <(SHELL=/bin/bash raydl --show-completion)
        complete -p raydl
        COMP_WORDS=(raydl fetch http : //h/f --to = e) COMP_CWORD=7
        _raydl_completion raydl
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "complete -o default -F _raydl_completion raydl", "every-node"
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_understands_what_it_is_told(tmp_path):
    """The answer, evaluated as typer's script does, whatever a description has in it."""
    told = completion._for_shell("zsh", [completion.Offer("a:b", "it's $HOME (x)")], 0)
    (tmp_path / "answer").write_text(told)
    script = (
        f'_describe() {{ print -r -- "$offers[1]" }}\nf() {{ eval $(cat {tmp_path}/answer) }}\nf'
    )
    done = subprocess.run(["zsh", "-fc", script], capture_output=True, text=True, check=True)
    assert done.stdout == "a\\:b:it's $HOME (x)\n"


def test_a_shell_without_completion(monkeypatch):
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("tcsh", "/bin/tcsh"))
    with pytest.raises(UsageError, match="no completion for tcsh; bash, zsh, fish have it"):
        completion.script()


def test_what_is_installed(monkeypatch, home):
    monkeypatch.setattr("shellingham.detect_shell", lambda: ("bash", "/bin/bash"))
    line = completion.install()
    assert line.startswith(f"completion for bash is in {home}/.bash_completions/raydl.sh")
    assert "raydl.sh" in (home / ".bashrc").read_text()


def test_it_begins_with_nothing_heavy():
    heavy = "{'ray', 'requests', 'rich', 'tqdm'} & set(sys.modules)"
    code = f"import raydl.cli.completion as c, sys; c._addresses(); assert not {heavy}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
