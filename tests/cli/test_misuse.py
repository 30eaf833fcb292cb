"""Command lines of people who mean something else: an error in a line, with what to type."""

import pytest
import typer

from raydl.cli.main import app
from raydl.cli.misuse import FOREIGN, explain
from tests.conftest import run_raydl


def told(*args):
    """What is said of that command line, which is not understood."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("raydl", list(args)) as context:
            command.invoke(context)
    except Exception as raised:
        return explain(raised, args).line
    raise AssertionError("it was understood")


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["https://h/f"], "No such command 'https://h/f'; write: raydl fetch https://h/f"),
        (["example.org/f"],
         "No such command 'example.org/f'; write: raydl fetch https://example.org/f"),
        (["fech"], "No such command 'fech'; did you mean 'fetch'?"),
        (["qqqq"], "No such command 'qqqq'; see raydl --help"),
        (["--parts", "3"], "No such option: --parts; raydl fetch has it"),
        (["probe", "http://h/", "--parts", "3"], "No such option: --parts; raydl fetch has it"),
        (["fetch", "http://h/", "-x", "16"],
         "No such option: -x; here it is --connections N, and without it what is found by "
         "measuring"),
        (["fetch", "http://h/", "-x", "http://p"],
         "No such option: -x; here it is --proxy URL, or --connections N"),
        (["fetch", "-s", "http://h/"], "No such option: -s; here it is --progress none"),
        (["fetch", "-LO", "http://h/"],
         "No such option: -L; leave it out: redirects are followed"),
        (["fetch", "-c", "http://h/"],
         "No such option: -c; leave it out: raydl goes on by itself"),
        (["fetch", "http://h/", "-d", "x"], "No such option: -d; here it is --output-dir DIR"),
        (["fetch", "http://h/", "--qqqq"], "No such option: --qqqq; see raydl fetch --help"),
        (["fetch", "http://h/", "-o"], "Option '-o' requires an argument; see raydl fetch --help"),
        (["verify"], "Missing argument 'FILE'; see raydl verify --help"),
    ],
)  # fmt: skip
def test_what_was_meant(args, line):
    assert told(*args) == line


def test_no_foreign_flag_is_one_of_ours():
    fetch = typer.main.get_command(app).commands["fetch"]
    ours = {name for param in fetch.params for name in (*param.opts, *param.secondary_opts)}
    foreign = [flag for flags in FOREIGN for flag in flags]
    assert not ours & set(foreign)
    assert len(foreign) == len(set(foreign))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["URL", "--nodes", "3"], "--nodes: '3' is no label; KEY=VALUE, as `raydl nodes` shows"),
        (["URL", "--to", "everynode"], "did you mean every-node?"),
        (["URL", "--progress", "jsn"], "did you mean json?"),
        (["URL", "out.bin"], "out.bin is no URL; -o out.bin saves under that name"),
        (["./list"], "./list is a file here, and no URL"),
        (["list"], "list is a file here, and no URL"),
        (["-i", "list"], "list names no files; a list has a URL a line"),
        (["example.org/f"], "did you mean https://example.org/f?"),
        (["http//example.org/f"], "did you mean http://example.org/f?"),
        (["htps://example.org/f"], "did you mean https://example.org/f?"),
    ],
)
def test_values_that_are_none(tmp_path, origin, args, says):
    (tmp_path / "list").touch()
    done = run_raydl("fetch", *[{"URL": origin.url()}.get(a, a) for a in args], cwd=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert not origin.requests
