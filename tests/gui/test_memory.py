import json
import os

import pytest

from raydl.gui.memory import MOST_ADDRESSES, Memory, Unfinished


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "raydl" / "windows.json"


def test_it_lasts():
    memory = Memory()
    assert (memory.role, memory.theme, memory.folder, memory.addresses) == ("", "system", "", [])
    memory.role, memory.theme, memory.folder = "worker", "dark", "/data"
    memory.port, memory.host = "6391", "10.0.0.3"
    memory.joined("a:1")
    memory.joined("b:2")
    memory.joined("a:1")
    memory.interrupted(Unfinished("http://h/f", "/data/", "md5:ab"))
    of_nodes = Unfinished("http://h/f", "/data/", "md5:ab", "f.iso", "every-node", "a=b c=d")
    memory.interrupted(of_nodes)
    again = Memory()
    assert (again.role, again.theme, again.folder) == ("worker", "dark", "/data")
    assert (again.port, again.host) == ("6391", "10.0.0.3")
    assert again.addresses == ["a:1", "b:2"]
    assert again.unfinished == [of_nodes]
    again.finished("http://h/f", "/data/")
    assert Memory().unfinished == []


def test_only_this_user_may_read_it(state):
    state.parent.mkdir(parents=True)
    state.write_text('{"role": "worker"}')
    state.chmod(0o644)
    before = os.umask(0)
    try:
        Memory().folder = "/data"
    finally:
        os.umask(before)
    assert state.stat().st_mode & 0o777 == 0o600
    assert Memory().role == "worker"
    assert list(state.parent.iterdir()) == [state]


def test_a_disk_that_is_full_loses_nothing(state, monkeypatch):
    Memory().role = "worker"

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("raydl.gui.memory.json.dump", full)
    Memory().role = "coordinator"
    assert Memory().role == "worker"
    assert list(state.parent.iterdir()) == [state]


def test_a_url_that_may_hold_a_secret_is_not_kept(state):
    memory = Memory()
    memory.interrupted(Unfinished("https://user:word@h/f", "/f"))
    memory.interrupted(Unfinished("https://h/f?signature=word", "/f"))
    memory.role = "worker"
    assert memory.unfinished == []
    assert "word" not in state.read_text()


def test_addresses_are_not_kept_without_end():
    memory = Memory()
    for number in range(50):
        memory.joined(f"h:{number}")
    assert len(Memory().addresses) == MOST_ADDRESSES
    assert Memory().addresses[0] == "h:49"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        '{"role": 3, "addresses": "x", "unfinished": [1, [2], [1, 2, 3, 4]], "theme": "x"}',
    ],
)
def test_a_broken_file_is_forgotten(state, text):
    state.parent.mkdir(parents=True)
    state.write_text(text)
    memory = Memory()
    assert (memory.role, memory.addresses, memory.unfinished) == ("", [], [])
    assert memory.theme == "system"
    memory.role = "worker"
    assert json.loads(state.read_text())["role"] == "worker"


def test_where_nothing_can_be_written(state):
    state.parent.parent.mkdir(parents=True)
    state.parent.write_text("")
    memory = Memory()
    memory.role = "worker"
    assert memory.role == "worker"


def test_what_an_earlier_version_kept_is_understood(state):
    state.parent.mkdir(parents=True)
    state.write_text('{"unfinished": [["http://h/f", "/data/", "md5:ab", "f.iso"], ["u"]]}')
    assert Memory().unfinished == [Unfinished("http://h/f", "/data/", "md5:ab", "f.iso")]


def test_many_files_are_kept_a_line_each_unless_they_are_too_many(state):
    memory = Memory()
    names = "https://h/a\nhf://org/model@v1\n/home/me/list.txt"
    memory.interrupted(Unfinished(names, "/data/", name="{number}-{name}"))
    memory.interrupted(Unfinished("https://h/a\nhttps://user:word@h/b", "/data/"))
    memory.interrupted(Unfinished("\n".join(["https://h/a"] * 10_000), "/data/"))
    assert [entry.url for entry in Memory().unfinished] == [names]
    assert "word" not in state.read_text()
    memory.finished(names, "/data/")
    assert Memory().unfinished == []
