"""``raydl doctor``, as people and programs read it; without a cluster, and on one."""

import contextlib
import json
import os
import signal

import pytest

from raydl.cli.doctor import _shown
from raydl.doctor.examination import examine
from raydl.doctor.rows import fine
from raydl.settings.options import Options
from tests.conftest import run_raydl
from tests.scripted import status


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def rows(done):
    """What was found, by where and what, and the exit code that it says."""
    record = json.loads(done.stdout)
    assert record["exit_code"] == done.returncode
    return {(row["where"], row["what"]): row for row in record["rows"]}


def test_what_is_too_wide_goes_on_below_itself(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    row = fine("this machine", "extras", ", ".join(f"extra{n}" for n in range(20)))
    assert list(_shown([row])) == [row]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 1
    assert max(map(len, lines)) <= 80
    assert len({line.index("extra", 35) for line in lines}) == 1


def test_without_a_cluster(here, origin):
    done = run_raydl("doctor", origin.url("/f?key=hunter2"), cwd=here)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1] == "all is well"
    assert any("this machine alone: no Ray cluster was started here" in line for line in lines)
    assert any("976.6 KiB, first byte after " in line for line in lines)
    assert "hunter2" not in done.stdout + done.stderr


def test_each_problem_comes_with_its_mend_and_its_code(here, origin):
    origin.on(status(404), None, lambda seen: True)
    done = run_raydl("doctor", origin.url(), "--address", "127.0.0.1:1", cwd=here)
    assert done.returncode == 4  # of the first problem
    lines = done.stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if "nothing listens there" in line)
    assert lines[at].startswith("problem   this machine     cluster ")
    assert lines[at + 1].strip() == "start one there with: raydl coordinator --port 1"
    assert lines[-1] == "2 problems: the line below each says what to do"


def test_in_a_directory_that_is_gone(here, monkeypatch):
    monkeypatch.chdir(here)
    here.rmdir()
    found = list(examine(Options.of({"address": "none"})))
    assert [row.found for row in found if row.state != "ok"] == ["the working directory is gone"]


def test_settings_that_are_wrong_are_one_of_the_problems(here):
    (here / "raydl.toml").write_text("partsize = 3\n")
    done = run_raydl("doctor", "--json", cwd=here)
    assert done.returncode == 2
    found = rows(done)
    assert found["this machine", "settings"]["mend"] == "did you mean 'part_size'?"
    assert found["this machine", "cluster"]["state"] == "ok"
    done = run_raydl("doctor", "--timeout", "x", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_cluster_that_is_gone_is_doubted(here, home):
    left = home / "ray" / "ray_current_cluster"
    left.parent.mkdir()
    left.write_text("127.0.0.1:1")
    done = run_raydl("doctor", "--json", cwd=here)
    assert done.returncode == 0
    assert rows(done)["this machine", "cluster"]["state"] == "warning"


def test_ray_that_is_not_here(here):
    (here / "sitecustomize.py").write_text(
        "import importlib.metadata as m\nbefore = m.version\n"
        "def version(name):\n"
        "    if name == 'ray': raise m.PackageNotFoundError(name)\n"
        "    return before(name)\n"
        "m.version = version\n"
    )
    paths = os.pathsep.join(filter(None, [str(here), os.environ.get("PYTHONPATH", "")]))
    done = run_raydl("doctor", "--json", cwd=here, env={"PYTHONPATH": paths})
    assert done.returncode == 0
    assert rows(done)["this machine", "Ray"]["mend"] == "pip install ray"


@pytest.mark.cluster
def test_on_a_cluster(here, origin, two_nodes):
    done = run_raydl("doctor", origin.url(), "--json", "--address", two_nodes.address, cwd=here)
    assert done.returncode == 0, done.stdout
    record = json.loads(done.stdout)
    nodes = {row["where"] for row in record["rows"]} - {"this machine"}
    assert len(nodes) == 2
    found = rows(done)
    assert "2 nodes" in found["this machine", "cluster"]["found"]
    assert all(found[node, "node"]["state"] == "ok" for node in nodes)
    assert sum((node, "URL") in found for node in nodes) == 1  # this machine has one of its own
    assert {row["what"] for row in record["rows"] if row["state"] != "ok"} <= {"object store"}


@contextlib.contextmanager
def frozen(node):
    """Its raylet is stopped within."""
    pid = node.all_processes["raylet"][0].process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_node_that_is_frozen(here, own_nodes):
    """On one of the workers it costs a line; where it is this machine's, Ray ends the process."""
    nodes = own_nodes(3)
    with frozen(nodes.workers[0]):
        done = run_raydl("doctor", "--json", "--address", nodes.address, cwd=here)
    assert done.returncode == 9
    record = json.loads(done.stdout)
    problems = [row for row in record["rows"] if row["state"] == "problem"]
    assert [row["found"] for row in problems] == ["no answer in 15s"]
    assert sum(row["what"] == "node" for row in record["rows"]) == 2
    with frozen(nodes.cluster.head_node):
        done = run_raydl("doctor", "--json", "--address", nodes.address, cwd=here, timeout=90)
    assert done.returncode == 9
    assert rows(done)["this machine", "cluster"]["mend"] == "look at it with `ray status`"
