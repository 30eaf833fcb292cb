import pytest

from raydl.config import config_file, options_from, settings
from raydl.errors import UsageError
from raydl.options import Options


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "raydl.toml"

    def write(text):
        path.write_text(text)
        return path

    return write


def test_defaults():
    found = settings({}, {})
    assert options_from(found) == Options()
    assert {s.where for s in found.values()} == {"default"}


def test_later_wins(file):
    path = file('part-size = "1MiB"\nparts = 3\nretries = 1\nresume = false\n')
    environ = {"RAYDL_PARTS": "4", "RAYDL_RETRIES": "2", "PATH": "x"}
    found = settings({"retries": "5"}, environ, path)
    assert found["part_size"] == (1 << 20, str(path))
    assert found["parts"] == (4, "RAYDL_PARTS")
    assert found["retries"] == (5, "--retries")
    assert found["resume"] == (False, str(path))


@pytest.mark.parametrize(
    ("flags", "environ", "text", "says"),
    [
        (
            {},
            {},
            "part_sise = 3",
            "raydl.toml: unknown option 'part_sise'; did you mean 'part_size'",
        ),
        ({}, {}, 'parts = "x"', "raydl.toml: parts: 'x' is not"),
        ({}, {}, "parts = [", "not valid TOML"),
        (
            {},
            {"RAYDL_TIMEOUTS": "3"},
            "",
            "RAYDL_TIMEOUTS: unknown option 'timeouts'; did you mean",
        ),
        ({}, {"RAYDL_PARTS": "0"}, "", "RAYDL_PARTS: 0 is out of bounds; from 1 to"),
        ({"part_size": "1GiB"}, {}, "", "--part-size: '1GiB' is out of bounds"),
    ],
)
def test_errors_name_the_place(file, flags, environ, text, says):
    with pytest.raises(UsageError) as caught:
        settings(flags, environ, file(text))
    assert says in str(caught.value)


def test_contradictions_across_places(file):
    with pytest.raises(UsageError, match="contradict"):
        options_from(settings({"skip_existing": "true"}, {}, file("overwrite = true")))


def test_which_file(in_tmp, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(in_tmp / "cfg"))
    assert config_file() is None
    (in_tmp / "cfg" / "raydl").mkdir(parents=True)
    mine = in_tmp / "cfg" / "raydl" / "raydl.toml"
    mine.write_text("")
    assert config_file() == mine
    (in_tmp / "raydl.toml").write_text("")
    assert str(config_file()) == "raydl.toml"


def test_a_file_of_another_user_is_not_used(in_tmp, monkeypatch):
    (in_tmp / "raydl.toml").write_text("")
    monkeypatch.setattr("raydl.config.is_ours", lambda path: False)
    with pytest.raises(UsageError, match="belongs to another user"):
        config_file()


def test_the_debug_variable_is_no_option():
    assert "debug" not in settings({}, {"RAYDL_DEBUG": "1"})
