import os
import re
import sys

import pytest

from raydl.model.errors import UsageError
from raydl.settings.config import ConfigFile, config_files, options_from, settings
from raydl.settings.options import Options, option_fields

TUNING = {
    "parts", "part_size", "connections", "max_memory", "retries", "limit_rate",
    "max_connections_per_origin", "lowest_speed", "timeout", "progress",
}  # fmt: skip


def variables_of_service(name, host, ports):
    """What Kubernetes sets in every pod for a Service, whose ``ports`` are (name, number,
    protocol)."""
    prefix = name.upper().replace("-", "_")
    _, first, protocol = ports[0]
    made = {
        f"{prefix}_SERVICE_HOST": host,
        f"{prefix}_SERVICE_PORT": f"{first}",
        f"{prefix}_PORT": f"{protocol}://{host}:{first}",
    }
    for title, number, protocol in ports:
        if title:
            made[f"{prefix}_SERVICE_PORT_{title.upper().replace('-', '_')}"] = f"{number}"
        at = f"{prefix}_PORT_{number}_{protocol.upper()}"
        made |= {
            at: f"{protocol}://{host}:{number}",
            f"{at}_PROTO": protocol,
            f"{at}_PORT": f"{number}",
            f"{at}_ADDR": host,
        }
    return made


HEAD = [("gcs-server", 6379, "tcp"), ("dashboard", 8265, "tcp"), ("client", 10001, "tcp"),
        ("metrics", 8080, "tcp"), ("serve", 8000, "tcp")]  # fmt: skip
SERVICES = [
    ("raydl", "10.0.0.1", [("", 80, "tcp")]),
    ("raydl", "fd00::1", [("http", 80, "tcp"), ("dns", 53, "udp"), ("s", 9, "sctp")]),
    ("raydl-head-svc", "10.0.0.2", HEAD),  # KubeRay's, of a RayCluster called raydl
    ("raydl-timeout", "10.0.0.3", [("", 443, "tcp")]),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "raydl.toml"

    def write(text, is_mine=True):
        path.write_text(text)
        return ConfigFile(path, is_mine)

    return write


@pytest.fixture
def mine(in_tmp, monkeypatch):
    """The user's own file, in an own directory for configuration."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(in_tmp / "cfg"))
    path = in_tmp / "cfg" / "raydl" / "raydl.toml"
    path.parent.mkdir(parents=True)
    return path


def test_defaults():
    found = settings({}, {})
    assert options_from(found) == Options()
    assert {s.where for s in found.values()} == {"default"}


def test_later_wins(file):
    given = file('part-size = "1MiB"\nparts = 3\nretries = 1\nresume = false\n')
    path = given.path
    environ = {"RAYDL_PARTS": "4", "RAYDL_RETRIES": "2", "PATH": "x"}
    found = settings({"retries": "5"}, environ, [given])
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
        ({}, {}, "a = " + "[" * 100_000, "not valid TOML"),
        ({}, {}, "parts = " + "9" * 10_000, "not valid TOML"),
        ({}, {"RAYDL_PARTS": "0"}, "", "RAYDL_PARTS: 0 is out of bounds; from 1 to"),
        ({"part_size": "1GiB"}, {}, "", "part_size: '1GiB' is out of bounds"),
    ],
)
def test_errors_name_the_place(file, flags, environ, text, says):
    with pytest.raises(UsageError) as caught:
        settings(flags, environ, [file(text)])
    assert says in str(caught.value)


def test_contradictions_across_places(file):
    with pytest.raises(UsageError, match="contradict"):
        options_from(settings({"skip_existing": "true"}, {}, [file("overwrite = true")]))


def test_the_users_file_and_over_it_the_one_here(mine, in_tmp):
    assert config_files() == []
    mine.write_text('parts = 1\nretries = 2\nproxy = "http://p:1"\n')
    assert config_files() == [ConfigFile(mine, True)]
    here = in_tmp / "raydl.toml"
    here.write_text("parts = 3\n")
    files = config_files()
    assert [str(file.path) for file in files] == [str(mine), "raydl.toml"]
    found = settings({}, {}, files)
    assert found["parts"] == (3, "raydl.toml")
    assert found["retries"] == (2, str(mine))
    assert found["proxy"].where == str(mine)


def test_the_users_file_is_the_users_even_from_beside_it(mine, monkeypatch):
    mine.write_text('user = "a:b"\n')
    monkeypatch.chdir(mine.parent)
    assert config_files() == [ConfigFile(mine, True)]


def test_places_that_cannot_be_looked_into_hold_no_file(mine, in_tmp, monkeypatch):
    """As where somebody else's directory is the working directory, with sudo."""
    mine.write_text("parts = 1\n")
    (in_tmp / "raydl.toml").write_text("parts = 2\n")
    real, closed = os.stat, set()

    def stat(path, *args, **kwargs):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", stat)
    if sys.version_info < (3, 11):  # whose pathlib has taken that before
        monkeypatch.setattr("pathlib._normal_accessor.stat", stat)
    closed.add("raydl.toml")
    assert config_files() == [ConfigFile(mine, True)]
    closed.add(str(mine))
    assert config_files() == []


def test_only_tuning_counts_from_a_working_directory(mine, file):
    assert {name for name, f in option_fields().items() if f.metadata["tuning"]} == TUNING
    for name in option_fields():
        # Nothing of the value is looked at, a file to be read least of all.
        given = file(f'{name.replace("_", "-")} = ["@/etc/passwd"]\n', is_mine=False)
        with pytest.raises(UsageError) as caught:
            settings({}, {}, [given])
        belongs = (str(mine), f"RAYDL_{name.upper()}", f"--{name.replace('_', '-')}")
        told = "does not count from a working directory" in str(caught.value)
        assert told == (name not in TUNING)
        assert told == all(place in caught.value.hint for place in belongs)


def test_a_file_of_another_user_is_not_used(in_tmp, monkeypatch):
    (in_tmp / "raydl.toml").write_text("parts = 3")
    real = os.fstat

    def others(fd):
        status = list(real(fd))
        status[4] = os.getuid() + 1
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", others)
    with pytest.raises(UsageError, match="belongs to another user"):
        settings({}, {}, config_files())


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service[0])
def test_variables_of_others_are_no_business_of_ours(service):
    told, theirs = [], variables_of_service(*service)
    assert len(theirs) >= 7
    found = settings({}, {**theirs, "RAYDL_DEBUG": "1", "RAYDL_": "x"}, (), told.append)
    assert options_from(found) == Options()
    assert told == []


def test_no_option_has_a_name_that_a_service_may_take():
    """That begins with raydl, whatever it and its ports are called."""
    theirs = re.compile(r"(\w+_)?(service_host|service_port(_\w+)?|port(_\d+_\w+)?)")
    for service in SERVICES:
        for name in variables_of_service(*service):
            assert theirs.fullmatch(name.removeprefix("RAYDL_").lower())
    assert not list(filter(theirs.fullmatch, option_fields()))


@pytest.mark.parametrize(
    ("variable", "meant"),
    [("RAYDL_TIMEOUTS", "RAYDL_TIMEOUT"), ("RAYDL_PARTSIZE", "RAYDL_PART_SIZE"),
     ("RAYDL_LIMITRATE", "RAYDL_LIMIT_RATE"), ("RAYDL_CONECTIONS", "RAYDL_CONNECTIONS")],
)  # fmt: skip
def test_a_near_miss_of_a_variable_is_told(variable, meant):
    told = []
    assert options_from(settings({}, {variable: "no value"}, (), told.append)) == Options()
    assert told == [f"{variable} is no option's and changes nothing: did you mean {meant}?"]
