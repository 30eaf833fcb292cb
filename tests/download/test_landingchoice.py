"""Where a download goes, and what is told of options that mean nothing there."""

from __future__ import annotations

import pytest

from raydl.download.landingchoice import tell_of_unused
from raydl.download.sinkchoice import SinkChoice
from raydl.settings.options import Options


@pytest.mark.parametrize(
    ("output", "directory", "bucket"),
    [
        (None, "s3://b/p", "s3://b/p/"),
        ("f", "s3://b/p/", "s3://b/p/f"),
        ("s3://b/k", "/data", "s3://b/k"),
        ("/data/f", "s3://b/p", None),
        ("-", "s3://b/p", None),
    ],
)
def test_a_bucket_as_the_directory(output, directory, bucket):
    assert SinkChoice(output, Options(output_dir=directory)).bucket == bucket


@pytest.mark.parametrize(
    ("output", "options", "told"),
    [
        ("f", {"nodes": "a=b"}, ["--nodes changes nothing with --to here"]),
        ("f", {"verify": True, "to": "shared"}, ["--verify changes nothing with --to shared"]),
        (
            "/f",
            {"verify": True, "nodes": "a=b", "to": "every-node", "keep_bad": True},
            ["--keep-bad changes nothing with --to every-node"],
        ),
        ("s3://b/k", {"keep_bad": True}, ["--keep-bad changes nothing with s3://b/k"]),
        ("f", {"keep_bad": True, "extract": True}, ["--keep-bad changes nothing with --extract"]),
        ("f", {"keep_bad": True}, []),
    ],
)
def test_what_changes_nothing_is_told(output, options, told):
    chosen, events = Options.of(options), []
    tell_of_unused(SinkChoice(output, chosen), chosen, events.append)
    assert [event.text for event in events] == told
