"""Mirrors that an origin names in its headers: who is asked, with what, and what of it counts."""

import hashlib
import threading

import pytest

from raydl.download.download import run
from raydl.download.mirrorsearch import SPOT
from raydl.model.events import Notice
from raydl.settings.options import Options
from tests.conftest import random_bytes
from tests.scripted import anything, lying

pytestmark = pytest.mark.usefixtures("no_leaks")

MIB = 1 << 20
DATA = random_bytes(12 * MIB)
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def mirror(make_origin):
    return make_origin(DATA)


@pytest.fixture
def origin(make_origin, mirror):
    """One that names a mirror, and goes on once that was looked at."""
    origin, looked = make_origin(DATA), threading.Event()
    link = f"<{mirror.url('/m')}>; rel=duplicate; pri=1"
    origin.headers = {**origin.headers, "Link": link}

    def look(handler, seen):
        if sum(is_spot(each) for each in mirror.parts) >= 4:
            looked.set()
        return False

    def wait(handler, seen):
        looked.wait(30 if mirror.waits else 0)
        return False

    mirror.waits = True
    mirror.on(look, None, anything)
    origin.on(wait, None, lambda seen: seen.is_part and not is_spot(seen) and seen.range[0] > MIB)
    return origin


def is_spot(seen):
    return seen.is_part and seen.range[1] - seen.range[0] + 1 == SPOT


def fetch(origin, path, *, told=None, **options):
    def heard(event):
        if told is not None and isinstance(event, Notice):
            told.append(str(event))

    given = {"address": "none", "progress": "none", "max_memory": "8MiB", "checksum": SHA}
    given["connections"] = 4
    return run(origin.url(), str(path), Options.of({**given, **options}), heard)


def test_it_is_used_where_a_digest_is_known(origin, mirror, tmp_path):
    fetch(origin, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == DATA
    assert [seen for seen in mirror.parts if not is_spot(seen)]


@pytest.mark.parametrize(
    "options", [{"checksum": None}, {"checksum": "md5:" + hashlib.md5(DATA).hexdigest()},
                {"origin_mirrors": False}],
)  # fmt: skip
def test_it_is_not_asked_otherwise(origin, mirror, tmp_path, options):
    mirror.waits = False
    fetch(origin, tmp_path / "f", **options)
    assert (tmp_path / "f").read_bytes() == DATA
    assert not mirror.requests


def test_it_gets_nothing_private(origin, mirror, tmp_path, home):
    (home / ".netrc").write_text("machine 127.0.0.1 login me password hidden\n")
    (home / ".netrc").chmod(0o600)
    fetch(origin, tmp_path / "f", header=["X-Token: hidden", "Referer: http://r/"])
    assert "authorization" in origin.requests[0].headers
    assert len(mirror.requests) > 4
    for seen in mirror.requests:
        assert "hidden" not in str(seen.headers)
        assert not {"authorization", "cookie", "x-token"} & set(seen.headers)


@pytest.mark.parametrize("token", ["hidden", "hid den"])
def test_one_of_a_host_that_has_a_token_here_is_not_asked(
    origin, mirror, tmp_path, monkeypatch, token
):
    monkeypatch.setenv("HF_ENDPOINT", mirror.url(""))
    monkeypatch.setenv("HF_TOKEN", token)
    mirror.waits = False
    fetch(origin, tmp_path / "f")
    assert not mirror.requests


def test_one_that_lies_costs_a_second_start_and_no_more(origin, mirror, tmp_path):
    mirror.on(lying(*range(0, len(DATA), 1000)), None, lambda s: s.is_part and not is_spot(s))
    mirror.rules.reverse()
    told = []
    report = fetch(origin, tmp_path / "f", told=told)
    assert report.digests == {"sha256": SHA.partition(":")[2]}
    assert (tmp_path / "f").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert [text for text in told if "again, without mirrors that the origin names" in text]


def test_one_with_another_size_is_left_out(origin, mirror, tmp_path):
    mirror.data, mirror.waits, told = DATA[:-1], False, []
    fetch(origin, tmp_path / "f", told=told)
    assert (tmp_path / "f").read_bytes() == DATA
    assert not mirror.parts
