"""What programs build on: names, flags, exit codes and events that are there stay there."""

import hashlib
import json
import re

import pytest
from typer.testing import CliRunner

import raydl
from raydl.cli.main import app
from raydl.model.errors import exit_codes
from tests.conftest import random_bytes, run_raydl
from tests.scripted import status

NAMES = """
    fetch fetch_async start events stream open refs probe nodes disconnect
    Options Checksum Remote Report NodeShare Node Event Download RemoteFile PartRef
    RaydlError UsageError NetworkError TimedOutError HttpError WrongAnswerError OriginChangedError
    RangesIgnoredError ChecksumError TargetError OutputError ClusterError CancelledError
    IncompleteError
    __version__
"""

FLAGS = {
    "fetch": """
        --address --bearer-env --cacert --cert --checksum --checksum-file --checksum-url
        --connections --cookies --fetch-here --header --insecure --json --keep-bad --key
        --limit-rate --location-trusted --lowest-speed --max-connections-per-origin --max-memory
        --mirror --netrc --no-fetch-here --no-insecure --no-keep-bad --no-location-trusted
        --no-origin-digest --no-overwrite --no-resume --no-skip-existing --origin-digest
        --output --output-dir --overwrite --part-size --parts --progress --proxy --resume
        --retries --skip-existing --timeout --user --user-agent -H -o
    """,
    "probe": """
        --bearer-env --cacert --cert --cookies --header --insecure --json --key
        --location-trusted --netrc --no-insecure --no-location-trusted --proxy --retries
        --timeout --user --user-agent -H
    """,
    "nodes": "--address --json",
    "config": "--json",
    "coordinator": "--auth --head --host --json --no-auth --port",
    "worker": "--address --json --token-file",
    "demo": "",
    "gui": "--role",
    "tls": "",
}

EXIT_CODES = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 130, 143}

OF_EVERY_EVENT = {"event", "time", "download", "file"}

EVENTS = {
    "cluster_chosen": "address note",
    "probed": "digest etag final_url last_modified name ranges schema size url why_no_ranges",
    "planned": "note part_size parts size start",
    "progress": "by_node fetched lanes nodes retries size waiting wasted written",
    "lanes_joined": "lanes node",
    "part_started": "node part start stop",
    "part_failed": "delay node part reason start stop tries",
    "part_fetched": "node origin part seconds start stop",
    "part_written": "part start stop",
    "verifying": "",
    "finished": """
        digests fetched limit nodes parts path proof resumed retries seconds size skipped speed
        transfer_seconds url wasted
    """,
}
"""Recorded from a download that meets a 503, each with its fields beside those of
every event."""

REPORT = EVENTS["finished"].split()


def test_names():
    assert set(NAMES.split()) <= set(dir(raydl))


@pytest.mark.parametrize("command", FLAGS)
def test_flags(command):
    done = CliRunner().invoke(app, [command, "--help"])
    shown = set(re.findall(r"(?<![\w-])--?[a-zA-Z][a-z-]*", done.output))
    assert set(FLAGS[command].split()) <= shown


def test_exit_codes():
    assert set(exit_codes()) >= EXIT_CODES


def test_events(make_origin, tmp_path):
    origin = make_origin(random_bytes(3_000_000))
    origin.on(status(503))
    digest = hashlib.sha256(origin.data).hexdigest()
    done = run_raydl(
        "fetch", origin.url(), "--address", "none", "--part-size", "500000", "--progress", "json",
        "--json", "--checksum", f"sha256:{digest}", cwd=tmp_path,
    )  # fmt: skip
    seen = {}
    for line in done.stderr.splitlines():
        event = json.loads(line)
        seen.setdefault(event["event"], event)
    for kind, fields in EVENTS.items():
        assert OF_EVERY_EVENT | set(fields.split()) <= set(seen[kind]), kind
    (download,) = {event["download"] for event in seen.values()}
    assert re.fullmatch("[0-9a-f]{8}", download)
    assert {event["file"] for event in seen.values()} == {0}
    assert set(REPORT) <= set(json.loads(done.stdout))
