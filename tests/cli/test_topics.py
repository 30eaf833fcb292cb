"""``raydl help TOPIC``: every topic on a screen, and what it says is so."""

import re

import pytest
from typer.testing import CliRunner

from raydl.cli.main import app
from raydl.cli.topics import TOPICS, overview, topic
from raydl.model.errors import UsageError, exit_codes
from raydl.settings.options import option_fields

COMMAND_LINE = {"--base", "--include", "--exclude", "--install-completion", "--show-completion",
                "--help"}  # fmt: skip


def of(*args):
    done = CliRunner().invoke(app, ["help", *args], prog_name="raydl")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


@pytest.mark.parametrize("name", TOPICS)
def test_a_topic_fits_a_screen_and_names_only_what_there_is(name, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/somebody/.config")
    lines = topic(name).splitlines()
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    known = {f"--{n}{option}".replace("_", "-") for option in option_fields() for n in ("", "no-")}
    assert set(re.findall(r"--[a-z][a-z-]+", topic(name))) <= known | COMMAND_LINE
    assert of(name) == f"{topic(name)}\n"


def test_all_are_listed():
    assert of() == f"{overview()}\n"
    assert set(re.findall(r"^  ([a-z-]+)  ", overview(), re.MULTILINE)) == set(TOPICS)


def test_exit_codes_are_those_of_the_errors():
    said = " ".join(topic("exit-codes").split())
    for code, meaning in exit_codes().items():
        assert f"{code} {meaning}" in said


def test_of_a_command_it_is_the_help():
    assert of("fetch").startswith("Usage: raydl fetch [OPTIONS] [URL...]")
    assert of("verify").startswith("Usage: raydl verify [OPTIONS] ")


@pytest.mark.parametrize(
    ("asked", "near"),
    [("exit_code", "exit-codes"), ("fecth", "fetch"), ("address", "addresses")],
)
def test_a_near_one_is_named(asked, near):
    with pytest.raises(UsageError) as caught:
        of(asked)
    assert caught.value.hint == f"did you mean {near}?"


def test_nothing_near():
    with pytest.raises(UsageError, match="neither a topic nor a command; topics are addresses, "):
        of("qqqq")
