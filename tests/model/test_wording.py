"""What a text for the command line becomes for Python."""

import pickle

import pytest

from raydl.model.errors import UsageError
from raydl.model.wording import SWITCHES, in_keywords
from raydl.settings.options import option_fields


@pytest.mark.parametrize(
    ("flags", "keywords"),
    [
        ("--cacert FILE trusts it", 'cacert="FILE" trusts it'),
        ("check --proxy, or http_proxy", "check proxy=, or http_proxy"),
        ("--overwrite replaces it, --skip-existing leaves it",
         "overwrite=True replaces it, skip_existing=True leaves it"),
        ("starting over (--no-resume)", "starting over (resume=False)"),
        ("--to every-node needs a file", 'to="every-node" needs a file'),
        ("give --max-memory 512MiB", 'give max_memory="512MiB"'),
        ("--address HOST:PORT", 'address="HOST:PORT"'),
        ("or with --to shared: -o /PATH/TO/FILE, or -o /DIRECTORY/",
         'or with to="shared": output="/PATH/TO/FILE", or output="/DIRECTORY/"'),
        ("save elsewhere with -o", "save elsewhere with output="),
        ("save elsewhere, or pipe with -o -", "save elsewhere, or pipe with raydl.stream"),
        ("--extract and -o - contradict each other",
         'extract=True and output="-" contradict each other'),
        ("give one, --output-dir .", 'give one, output_dir="."'),
        ("write -o 'big files/' to save", 'write output="big files/" to save'),
        ("--cookies: f is no cookie file", "cookies: f is no cookie file"),
        ("--name '{number}-{name}'", 'name="{number}-{name}"'),
        ("--retries N asks for longer", "retries=N asks for longer"),
        ("--nodes KEY=VALUE", 'nodes="KEY=VALUE"'),
        ("--checksum would prove the bytes", "checksum= would prove the bytes"),
        ("--fetch-nodes KEY=VALUE", 'fetch_nodes="KEY=VALUE"'),
        ("run the same command again to go on", "call it again to go on"),
        ("the same command goes on", "the same call goes on"),
        ("start one with `ray start --head`, or give --address HOST:PORT",
         'start one with `ray start --head`, or give address="HOST:PORT"'),
        ("start one there with: raydl coordinator --port 6379",
         "start one there with: raydl coordinator --port 6379"),
        ("/tmp/a--b is there; a -- b", "/tmp/a--b is there; a -- b"),
    ],
)  # fmt: skip
def test_flags_become_keywords(flags, keywords):
    assert in_keywords(flags) == keywords


def test_the_switches_are_those_of_the_options():
    those = {name for name, field in option_fields().items() if isinstance(field.default, bool)}
    assert set(SWITCHES) == those | {"if_changed"}


def test_an_error_speaks_to_python_and_keeps_what_the_command_line_says():
    error = pickle.loads(pickle.dumps(UsageError("it is there", "--overwrite replaces it")))
    assert str(error) == "it is there; overwrite=True replaces it"
    assert error.line == "it is there; --overwrite replaces it"
    assert error._render_traceback_()[1] == "  overwrite=True replaces it"
