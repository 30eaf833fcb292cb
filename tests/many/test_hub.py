"""Repositories of a hub: a small one of our own, and huggingface_hub's look at what came of it."""

import hashlib
from pathlib import Path

import pytest

import raydl
from raydl.many.hub import Repository, look
from raydl.model.errors import HttpError, NetworkError, UsageError
from tests.conftest import run_raydl
from tests.many.hub import NAME, SHA, there_below
from tests.many.test_run import failures, only, there
from tests.scripted import cut_off

pytest.importorskip("huggingface_hub")
from huggingface_hub import constants, snapshot_download


def fetch(*names, **options):
    return raydl.fetch_many(list(names), address="none", progress="none", **options)


def asked(hub):
    return [seen.path for seen in hub.requests if seen.path.startswith("/api/models/")]


def test_what_came_is_what_the_library_finds(hub, files, tmp_path):
    report = fetch(f"hf://{NAME}")
    assert (report.failed, report.done) == (0, len(files) - 1)  # two are the same blob
    assert len(asked(hub)) == 1
    for revision in ("main", SHA):
        found = snapshot_download(
            NAME, revision=revision, cache_dir=tmp_path / "cache", local_files_only=True
        )
        assert there_below(found) == files
    shown = [s.headers.get("authorization") for s in hub.requests if "/resolve/" in s.path]
    assert set(shown) == {"Bearer hf_secret"}


def test_what_came_is_what_transformers_finds(hub, files, tmp_path):
    transformers = pytest.importorskip("transformers")
    fetch(f"hf://{NAME}")
    before = len(hub.requests)
    where = {"cache_dir": tmp_path / "cache", "local_files_only": True}
    config, _ = transformers.PretrainedConfig.get_config_dict(NAME, **where)
    assert config["a"] == 1
    for revision in ("main", SHA):
        for name, data in files.items():
            found = transformers.utils.cached_file(NAME, name, revision=revision, **where)
            assert Path(found).read_bytes() == data
    assert len(hub.requests) == before


def test_what_the_cache_has_is_not_fetched(hub, files, tmp_path):
    blobs = tmp_path / "cache" / "models--org--model" / "blobs"
    blobs.mkdir(parents=True)
    data = files["weights/large.bin"]
    (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    report = fetch(f"hf://{NAME}@v1")
    assert report.skipped == 1
    assert not any("large" in seen.path for seen in hub.requests)
    before = len(hub.requests)
    assert fetch(f"hf://{NAME}@v1").done == 0
    assert len(hub.requests) == before + 1


def test_into_a_directory(hub, files, tmp_path):
    report = fetch(f"hf://{NAME}", directory=tmp_path / "d", exclude=["*large*"])
    assert report.failed == 0
    wanted = {path: data for path, data in files.items() if "large" not in path}
    assert there(tmp_path / "d") == wanted


@pytest.mark.parametrize(
    ("name", "patterns", "count"),
    [
        (f"hf://{NAME}", {"include": ["*.json"]}, 2),
        (f"hf://{NAME}/weights", {}, 2),
        (f"hf://models/{NAME}@main/config.json", {}, 1),
        (f"hf://{NAME}", {"exclude": ["weights/*", ".*"]}, 3),
    ],
)
def test_patterns_and_paths(hub, name, patterns, count):
    assert len(look(name, **patterns).files) == count


def test_wrong_bytes_get_no_blob(hub, files, tmp_path):
    hub.files[f"/{NAME}/resolve/{SHA}/config.json"] = b'{"a": 2}'
    report = fetch(f"hf://{NAME}", include=["config.json", "empty"])
    assert [kind for kind, _ in failures(report).values()] == ["ChecksumError"]
    blobs = tmp_path / "cache" / "models--org--model" / "blobs"
    assert [path.name for path in blobs.iterdir()] == [hashlib.sha1(b"blob 0\0").hexdigest()]


def test_a_large_file_by_its_id_in_git(hub, files, tmp_path, monkeypatch):
    monkeypatch.setattr("raydl.workers.smallfiles.LARGEST", 10)
    monkeypatch.setattr("raydl.workers.smallfiles.FIRST", 16)
    assert fetch(f"hf://{NAME}", directory=tmp_path / "d", include=["*.json", ".*"]).failed == 0


def test_it_goes_on_where_it_was(hub, files, tmp_path):
    large = f"/{NAME}/resolve/{SHA}/weights/large.bin"
    hub.on(cut_off(50_000, reset=True), None, only(large))
    assert fetch(f"hf://{NAME}", retries=0).failed == 1
    hub.rules = [rule for rule in hub.rules if not rule.when.__qualname__.startswith("only")]
    report = fetch(f"hf://{NAME}")
    assert (report.failed, report.done) == (0, 1)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("hf://org/none", HttpError, "the hub has no hf://org/none"),
        ("hf://nobody", UsageError, "names no repository"),
        ("hf://a/b/../../c", UsageError, "leaves its directory"),
        (f"hf://{NAME}/none", UsageError, "has no such file"),
    ],
)
def test_names_that_lead_nowhere(hub, name, error, says):
    with pytest.raises(error, match=says):
        fetch(name)


def test_no_hub_there(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NetworkError, match="the hub cannot be asked"):
        fetch(f"hf://{NAME}")


def test_names():
    assert Repository.parse("hf://datasets/a/b@v1.0/c/d.txt") == Repository(
        "dataset", "a/b", "v1.0", "c/d.txt"
    )
    assert Repository.parse("hf://a/b@refs%2Fpr%2F1").revision == "refs/pr/1"
    assert Repository.parse("hf://spaces/a/b/").folder == "spaces--a--b"


def test_on_the_command_line(hub, files, tmp_path):
    env = {"HF_ENDPOINT": hub.url(""), "HF_HUB_CACHE": str(tmp_path / "c"), "HF_TOKEN": "hf_secret"}
    done = run_raydl(
        "fetch", f"hf://{NAME}", "--include", "*.json", "--address", "none", cwd=tmp_path, env=env
    )
    assert done.returncode == 0, done.stderr
    found = snapshot_download(NAME, cache_dir=tmp_path / "c", local_files_only=True)
    assert set(there_below(found)) == {"config.json", "copy.json"}
    assert "hf_secret" not in done.stderr


def test_repositories_in_a_list(hub, files, tmp_path):
    (tmp_path / "list").write_text(f"hf://{NAME}\thub\nhf://{NAME[:-1]}\n{hub.url('/one')}\n")
    hub.files["/one"] = b"one"
    ended = run_raydl(
        "fetch", "-i", "list", "--output-dir", "d", "--address", "none", "--exclude", "*large*",
        cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 11
    found = there(tmp_path / "d")
    assert found.pop("one") == b"one"
    assert {n.removeprefix("hub/"): d for n, d in found.items()} == {
        name: data for name, data in files.items() if "large" not in name
    }
