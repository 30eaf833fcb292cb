"""The command line as a process: what it prints where, and how it exits."""

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

import raydl
from raydl.cli.main import app
from raydl.cli.outcome import StandardOutput
from raydl.cli.tables import show_remote
from raydl.model.coverage import Coverage
from raydl.model.digests import ALGORITHMS
from raydl.model.errors import OutputError, exit_codes
from raydl.model.remote import Remote
from raydl.model.units import format_size
from raydl.output.journal import Journal
from raydl.settings.options import option_fields
from tests import scripted
from tests.conftest import RAYDL, run_raydl
from tests.scripted import anything, status

OF_EVERY_EVENT = {"event", "time", "download", "file"}


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_help_names_every_flag_and_exit_code():
    text = CliRunner().invoke(app, ["fetch", "--help"]).output
    for name in option_fields():
        assert f"--{name.replace('_', '-')}" in text
    for code, meaning in exit_codes().items():
        assert f"{code}  {meaning}" in text
    assert "--no-fetch-here" in text
    assert "[default: 8MiB]" in text


def test_help_cuts_no_description():
    assert "..." not in CliRunner().invoke(app, ["--help"]).output.partition("Commands:")[2]


def test_help_names_every_algorithm():
    assert all(name in option_fields()["checksum"].metadata["help"] for name in ALGORITHMS)


def test_version_and_no_arguments(here):
    assert run_raydl("--version", cwd=here).stdout == f"raydl {raydl.__version__}\n"
    assert "fetch" in run_raydl(cwd=here).stdout + run_raydl(cwd=here).stderr


def test_fetch_with_its_lines_on_standard_error(origin, here):
    done = run_raydl("fetch", origin.url(), "--parts", "3", cwd=here)
    assert done.returncode == 0
    assert done.stdout == ""
    assert (here / "file.bin").read_bytes() == origin.data
    lines = done.stderr.splitlines()
    assert lines[0] == "this machine alone: no Ray cluster was started here"
    assert [line for line in lines if line.startswith("file.bin: 976.6 KiB in ")]


def test_json_report_and_json_events(origin, here):
    sha = hashlib.sha256(origin.data).hexdigest()
    done = run_raydl(
        "fetch",
        origin.url(),
        "--json",
        "--progress",
        "json",
        "--checksum",
        f"sha256:{sha}",
        "--connections",
        "4",
        cwd=here,
    )
    report = json.loads(done.stdout)
    assert report["size"] == report["fetched"] == 1_000_003
    assert report["digests"] == {"sha256": sha}
    (node,) = report["nodes"]
    assert (node["node"], node["bytes"], node["lanes"]) == ("this machine", 1_000_003, 4)
    assert node["state"] == ""  # only copies on nodes have one
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[-1]["event"] == "finished"
    details = {name: value for name, value in events[-1].items() if name not in OF_EVERY_EVENT}
    assert details == report


def test_standard_output_is_the_file_and_nothing_else(origin, here):
    done = subprocess.run(
        [*RAYDL, "fetch", origin.url(), "-o", "-"], capture_output=True, cwd=here, timeout=60
    )
    assert done.stdout == origin.data
    assert names(here) == []


def test_a_reader_that_goes_away(make_origin, here):
    origin = make_origin(os.urandom(5_000_000))
    process = subprocess.Popen(
        [*RAYDL, "fetch", origin.url(), "-o", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=here,
    )
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(30) == 8
    assert "the reader of standard output has gone" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["fetch"], 2, "there is nothing to fetch; raydl fetch URL"),
        (["fetch", "URL", "--pats", "3"], 2, "--pats"),
        (["fetch", "URL", "--parts", "0"], 2, "--parts: 0 is out of bounds; from 1 to"),
        (["fetch", "URL", "--part-size", "big"], 2, "'big' is not a size"),
        (["fetch", "URL", "--checksum", "sha256:12"], 2, "64 hex digits"),
        (["fetch", "example.org/x"], 2, "did you mean https://example.org/x?"),
        (["fetch", "http://h:99999/x"], 2, "http://h:99999/x cannot be fetched: its port"),
        (["fetch", "file:///x"], 2, "file:///x cannot be fetched: the scheme file is not"),
        (["fetch", "URL", "--mirror", "h/x"], 2, "--mirror: h/x has no scheme; did you mean"),
        (["fetch", "URL", "--user", "anna"], 2, "--user: there is no colon in it; USER:PASSWORD"),
        (["fetch", "URL", "--netrc", "/nope"], 2, "--netrc: /nope cannot be read"),
        (["fetch", "URL", "--cookies", "/nope"], 2, "--cookies: /nope cannot be read"),
        (["fetch", "URL", "--cacert", "/nope"], 2, "--cacert: /nope cannot be read"),
        (["fetch", "URL", "--bearer-env", "NOPE"], 2, "--bearer-env: the variable NOPE is not set"),
        (["fetch", "URL", "--checksum-file", "/nope"], 2, "--checksum-file: /nope cannot be read"),
        (["fetch", "URL", "--overwrite", "--skip-existing"], 2, "--overwrite and --skip-existing"),
        (["fetch", "URL", "-o", "no/dir/"], 8, "mkdir -p no/dir"),
        (["fetch", "URL", "--address", "127.0.0.1:1"], 9, "raydl coordinator --port 1"),
        (["fetch", "URL", "--checksum", "md5:" + "0" * 32], 6, "has md5"),
        (["fetch", "http://no-such-host.invalid/"], 3, "cannot be resolved"),
        (["fetch", "MISSING"], 4, "answered 404"),
        (["nodes", "--address", "?"], 2, "HOST:PORT"),
    ],
)
def test_one_line_that_says_what_to_do(origin, here, args, code, says):
    origin.on(status(404), None, lambda seen: seen.path == "/missing")
    args = [{"URL": origin.url(), "MISSING": origin.url("/missing")}.get(a, a) for a in args]
    done = run_raydl(*args, cwd=here)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert "file.bin" not in names(here)


def test_an_existing_target(origin, here):
    (here / "file.bin").write_text("mine")
    done = run_raydl("fetch", origin.url(), cwd=here)
    assert done.returncode == 7
    assert "--overwrite replaces it" in done.stderr
    assert run_raydl("fetch", origin.url(), "--skip-existing", cwd=here).returncode == 0
    assert (here / "file.bin").read_text() == "mine"
    assert run_raydl("fetch", origin.url(), "--overwrite", cwd=here).returncode == 0
    assert (here / "file.bin").read_bytes() == origin.data


def test_a_directory_without_permission(origin, here):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    here.chmod(0o500)
    assert run_raydl("fetch", origin.url(), cwd=here).returncode == 8


def test_a_full_disk(make_origin, here):
    """A limit on the file's size stands in for a disk that is full."""
    origin = make_origin(os.urandom(3_000_000))
    command = " ".join(map(str, [*RAYDL, "fetch", origin.url(), "--part-size", "100000"]))
    done = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 1000; exec {command}"],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 8
    assert "cannot write file.bin.part" in done.stderr
    assert "Traceback" not in done.stderr
    assert (here / "file.bin.part").stat().st_size > 0
    again = run_raydl("fetch", origin.url(), "--json", cwd=here)
    assert json.loads(again.stdout)["resumed"] > 0
    assert (here / "file.bin").read_bytes() == origin.data


STALLS = 600_001
"""Where the first part begins that stalls."""


def kept_at(here):
    """What the next run goes on from; a journal may be there before anything."""
    journal = Journal.load(here / "file.bin.part.journal")
    return journal.kept(1_000_003) if journal is not None else Coverage()


class TestInterrupted:
    """Ctrl-C, SIGTERM and kill -9 in the middle; the same command goes on."""

    def interrupt(self, origin, here, how, *args):
        """Let half of the file come, and some of the next part, then send the signal."""
        origin.on(scripted.stall(10), None, lambda s: s.is_part and s.range[0] >= 600_000)
        process = subprocess.Popen(
            [*RAYDL, "fetch", origin.url(), "--parts", "10", *args],
            cwd=here,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 30
        while not kept_at(here).covers(0, STALLS + 10):
            assert time.monotonic() < deadline
            assert process.poll() is None
        sent = time.monotonic()
        process.send_signal(how)
        code = process.wait(20)
        errors = process.stderr.read()
        process.stderr.close()
        origin.release.set()
        origin.rules.clear()
        origin.requests.clear()
        assert "Traceback" not in errors
        return code, errors, time.monotonic() - sent

    @pytest.mark.parametrize(
        ("how", "code", "says"),
        [
            (signal.SIGINT, 130, "are kept: run it again to go on"),
            (signal.SIGTERM, 143, "ended by SIGTERM; "),
            (signal.SIGHUP, 129, "ended by SIGHUP; "),
            (signal.SIGKILL, -9, ""),
        ],
    )
    def test_it_goes_on(self, origin, here, how, code, says):
        if signal.getsignal(how) is signal.SIG_IGN:
            pytest.skip("whoever runs the tests has it ignored")
        exited, errors, took = self.interrupt(origin, here, how)
        assert exited == code
        assert says in errors
        assert took < 2.0
        assert names(here) == ["file.bin.part", "file.bin.part.journal"]
        # What was in flight as well.
        kept = kept_at(here)
        assert kept.covers(0, STALLS + 10)
        kept = kept.size
        done = run_raydl("fetch", origin.url(), "--json", cwd=here)
        assert json.loads(done.stdout)["resumed"] == kept
        assert f"going on from {format_size(kept)} (" in done.stderr
        assert (here / "file.bin").read_bytes() == origin.data
        assert names(here) == ["file.bin"]

    @pytest.mark.parametrize(
        ("how", "code", "says"),
        [
            (signal.SIGINT, 130, "interrupted"),
            (signal.SIGTERM, 143, "ended by SIGTERM"),
            (signal.SIGHUP, 129, "ended by SIGHUP"),
        ],
    )
    def test_its_last_event_says_so(self, origin, here, how, code, says):
        if signal.getsignal(how) is signal.SIG_IGN:
            pytest.skip("whoever runs the tests has it ignored")
        exited, errors, _ = self.interrupt(origin, here, how, "--progress", "json")
        events = [json.loads(line) for line in errors.splitlines()]
        assert exited == code == events[-1]["exit_code"]
        assert (events[-1]["event"], events[-1]["error"]) == ("failed", "CancelledError")
        assert events[-1]["message"] == says
        assert "are kept: run it again" in events[-1]["hint"]
        assert [e["event"] for e in events].count("failed") == 1

    @pytest.mark.parametrize(
        ("output", "says"),
        [
            ("file.bin", "nothing is kept: the origin ignores byte ranges, so every run starts"),
            ("-", "nothing is kept: what is out on standard output cannot be gone on with"),
        ],
    )
    def test_what_can_never_be_gone_on_with(self, make_origin, here, output, says):
        origin = make_origin(os.urandom(1_000_003), ranges=output == "-")
        origin.on(scripted.stall(10), None, lambda s: s.method == "GET" and s.range != (0, 0))
        extra = [] if output == "-" else ["--json"]
        process = subprocess.Popen(
            [*RAYDL, "fetch", origin.url(), "-o", output, *extra],
            cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not any(s.method == "GET" and s.range != (0, 0) for s in origin.requests):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert says in errors
        if output != "-":
            assert says in json.loads(out)["hint"]

    def test_a_second_raydl_is_refused_meanwhile(self, origin, here):
        origin.on(scripted.stall(10), None)
        first = subprocess.Popen([*RAYDL, "fetch", origin.url()], cwd=here, stderr=subprocess.PIPE)
        while not origin.parts:
            assert first.poll() is None
        second = run_raydl("fetch", origin.url(), cwd=here)
        assert second.returncode == 7
        assert "another raydl is writing file.bin" in second.stderr
        first.kill()
        first.communicate(timeout=20)


@pytest.mark.parametrize(
    ("how", "args", "code", "says"),
    [
        ("flag", ["URL", "--checksum", "md5:12"], 2, "--checksum: "),
        ("flag", ["URL", "--pats", "3"], 2, "No such option: --pats"),
        ("flag", [], 2, "there is nothing to fetch"),
        ("flag", ["example.org/x"], 2, "example.org/x has no scheme"),
        ("flag", ["MISSING"], 4, "answered 404"),
        ("flag", ["URL", "-o", "-", "--json"], 2, "--json and -o - both want standard output"),
        ("variable", ["URL", "--pats", "3"], 2, "No such option: --pats"),
        ("variable", ["MISSING"], 4, "answered 404"),
        ("file", ["URL", "--pats", "3"], 2, "No such option: --pats"),
        ("file", ["MISSING"], 4, "answered 404"),
    ],
)
def test_with_json_lines_every_failure_is_one(origin, here, args, code, says, how):
    origin.on(status(404), None, lambda seen: seen.path == "/missing")
    args = [{"URL": origin.url(), "MISSING": origin.url("/missing")}.get(a, a) for a in args]
    environ = {"RAYDL_PROGRESS": "json"} if how == "variable" else {}
    if how == "file":
        (here / "raydl.toml").write_text('progress = "json"\n')
    flags = ["--progress=json"] if how == "flag" else []
    done = run_raydl("fetch", *args, *flags, cwd=here, env=environ)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [e["event"] for e in events].count("failed") == 1
    assert set(events[-1]) - OF_EVERY_EVENT == {"error", "message", "hint", "exit_code"}
    assert events[-1]["exit_code"] == done.returncode == code
    assert says in events[-1]["message"]


@pytest.mark.parametrize("command", ["fetch", "probe", "config", "nodes", "--help", "--version"])
def test_standard_output_that_cannot_be_written(origin, here, command):
    args = [command, *([origin.url()] if command in ("fetch", "probe") else [])]
    if command == "fetch":
        args.append("--json")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*RAYDL, *args], stdout=full, stderr=subprocess.PIPE, cwd=here, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    last = "raydl: cannot write standard output: the disk is full; free some space"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (8, last)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as gone:
        done = subprocess.run(
            [*RAYDL, *args, *(["--overwrite"] if command == "fetch" else [])],
            stdout=gone, stderr=subprocess.PIPE, cwd=here, text=True, timeout=60, check=False,
        )  # fmt: skip
    last = "raydl: the reader of standard output has gone"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (8, last)


class Full(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_standard_output_that_cannot_take_much():
    """What is larger than the buffers is lost by the time of the flush at the end."""
    out = StandardOutput(io.BufferedWriter(Full()), "utf-8")
    with pytest.raises(OutputError, match="standard output: the disk is full"):
        print("x" * 1_000_000, file=out)


def test_probe(origin, here):
    done = run_raydl("probe", origin.url("/a/file.bin?key=hunter2"), cwd=here)
    assert done.returncode == 0
    assert "976.6 KiB (1,000,003 bytes)" in done.stdout
    assert "yes: many parts at once" in done.stdout
    assert "hunter2" not in done.stdout
    record = json.loads(run_raydl("probe", origin.url(), "--json", cwd=here).stdout)
    assert (record["size"], record["ranges"], record["etag"]) == (1_000_003, True, '"v1"')
    origin.on(status(404), None, anything)
    assert run_raydl("probe", origin.url(), cwd=here).returncode == 4


def test_probe_shows_a_date_that_proves_nothing(capsys):
    show_remote(Remote("u", "u", 1, True, None, None, "f", weak_date="Fri, 01 Jan"), False)
    assert "Fri, 01 Jan (too recent to prove anything)" in capsys.readouterr().out


def test_nodes_without_a_cluster(here):
    done = run_raydl("nodes", cwd=here)
    assert "this machine alone" in done.stdout
    assert json.loads(run_raydl("nodes", "--json", cwd=here).stdout) == []


def test_config(here):
    (here / "raydl.toml").write_text('part_size = "8MiB"\n')
    done = run_raydl("config", cwd=here, env={"RAYDL_PARTS": "12"})
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["part_size"] == ["8MiB", "raydl.toml"]
    assert rows["parts"] == ["12", "RAYDL_PARTS"]
    assert rows["retries"] == ["8", "default"]
    record = json.loads(run_raydl("config", "--json", cwd=here).stdout)
    assert record["part_size"] == {"value": 8 << 20, "where": "raydl.toml"}
    assert set(record) == set(option_fields())
    (here / "raydl.toml").write_text("partsize = 3\n")
    done = run_raydl("config", cwd=here)
    assert done.returncode == 2
    assert "did you mean 'part_size'" in done.stderr


def test_configuration_is_used(origin, here):
    (here / "raydl.toml").write_text("parts = 5\n")
    done = run_raydl("fetch", origin.url(), "--json", cwd=here)
    assert json.loads(done.stdout)["parts"] == 5
    done = run_raydl("fetch", origin.url(), "--json", "--overwrite", "--parts", "2", cwd=here)
    assert json.loads(done.stdout)["parts"] == 2


def test_the_files_in_force_are_told(origin, here, tmp_path):
    assert run_raydl("config", cwd=here).stderr == ""
    mine = tmp_path / "no-config" / "raydl" / "raydl.toml"
    mine.parent.mkdir(parents=True)
    mine.write_text("retries = 1\n")
    (here / "raydl.toml").write_text("parts = 2\n")
    line = f"settings: {mine} and raydl.toml in this directory (tuning only)"
    for command in (["config"], ["probe", origin.url()], ["nodes"], ["fetch", origin.url()]):
        assert run_raydl(*command, cwd=here).stderr.splitlines()[0] == line
    told = run_raydl("fetch", origin.url(), "--overwrite", "--progress", "json", cwd=here).stderr
    assert json.loads(told.splitlines()[0])["text"] == line
    told = run_raydl("fetch", origin.url(), "--overwrite", "--progress", "none", cwd=here).stderr
    assert told == ""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can give its rights up once it is inside",
)
def test_in_a_directory_that_cannot_be_read(origin, here, tmp_path):
    """The working directory is somebody else's, as with sudo."""
    here.chmod(0)
    dropping = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    for args in (["config"], ["fetch", origin.url(), "-o", str(tmp_path / "x")]):
        done = subprocess.run(
            [*dropping, *RAYDL, *args], cwd=here, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "x").read_bytes() == origin.data


def test_a_strangers_file_sends_nothing(origin, here):
    (here / "key").write_text("X-Key: hunter2\n")
    (here / "raydl.toml").write_text('header = ["@key"]\n')
    done = run_raydl("fetch", origin.url(), cwd=here)
    assert done.returncode == 2
    assert "header does not count from a working directory" in done.stderr
    assert not origin.requests


def test_no_flag_reads_a_variable_by_itself():
    command = typer.main.get_command(app)
    assert len(command.commands) == 12
    for name, one in command.commands.items():
        assert not [p.name for p in one.params if p.envvar], name
        assert not one.context_settings.get("auto_envvar_prefix")


def test_variables_that_are_no_options(here):
    environ = {"RAYDL_PORT": "tcp://10.0.0.1:80", "RAYDL_SERVICE_HOST": "10.0.0.1"}
    done = run_raydl("nodes", cwd=here, env=environ)
    assert (done.returncode, done.stderr) == (0, "")
    done = run_raydl("nodes", cwd=here, env={"RAYDL_PART": "3"})
    assert done.returncode == 0
    assert "did you mean RAYDL_PARTS?" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_closed_standard_streams(origin, here, closed):
    command = " ".join(map(str, [*RAYDL, "fetch", origin.url(), "--json"]))
    done = subprocess.run(
        ["bash", "-c", f"{command} {closed}"],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert (here / "file.bin").read_bytes() == origin.data


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--timeout", "9999999999h"], 2),
        (["--part-size", "9" * 400], 2),
        (["--connections", "100000"], 2),
        (["--parts", "1" + "0" * 30], 2),
        (["-o", "x" * 300], 8),
    ],
)
def test_beyond_all_measure(origin, here, args, code):
    done = run_raydl("fetch", origin.url(), *args, cwd=here)
    assert done.returncode == code
    assert "unexpected" not in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "name", "says"),
    [
        (["fetch", "MISSING"], 4, "HttpError", "answered 404"),
        (["probe", "MISSING"], 4, "HttpError", "answered 404"),
        (["fetch", "URL", "--parts", "0"], 2, "UsageError", "--parts: 0 is out of bounds"),
        (["fetch", "URL", "--pats", "0"], 2, "UsageError", "--pats"),
        (["fetch", "URL", "-o", "-"], 2, "UsageError", "both want standard output"),
        (["nodes", "--address", "127.0.0.1:1"], 9, "ClusterError", "nothing listens there"),
    ],
)
def test_a_failure_is_an_object_with_json(origin, here, args, code, name, says):
    origin.on(status(404), None, lambda seen: seen.path == "/missing")
    args = [{"URL": origin.url(), "MISSING": origin.url("/missing")}.get(a, a) for a in args]
    done = run_raydl(*args, "--json", cwd=here)
    assert done.returncode == code
    record = json.loads(done.stdout)
    assert set(record) == {"error", "message", "hint", "exit_code"}
    assert (record["error"], record["exit_code"]) == (name, code)
    assert says in record["message"]
    assert says in done.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["https://anna:hunter2@h/x"],
        ["https://h/x?key=hunter2"],
        ["https://an na:hunter2'@h/x"],
        ["anna:hunter2@h/x"],
        ["fetch", "http://h/", "anna:hunter2@h/x"],
        ["fetch", "http://h/", "-H", "X:", "Authorization: Bearer hunter2"],
        ["fetch", "http://h/", "--usr", "anna:hunter2"],
        ["fetch", "http://h/", "--usr=anna:hunter2"],
        ["fetch", "ftp://anna:hunter2@h/"],
        ["fetch", "http://h/", "--proxy", "gopher://anna:hunter2@h/"],
    ],
)
def test_what_could_not_be_understood_is_not_repeated_with_its_secrets(here, args):
    done = run_raydl(*args, "--json", cwd=here)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == "UsageError"
    assert "hunter2" not in done.stdout + done.stderr


def test_with_debug_all_shows_but_the_secrets(origin, here):
    dead = "http://anna:hunter2@127.0.0.1:1/x?key=hunter3"
    args = ["fetch", dead, "--retries", "0", "--address", "none"]
    short = run_raydl(*args, cwd=here)
    assert short.stderr.splitlines()[1:] == [
        "raydl: 127.0.0.1:1 refuses the connection; check the URL and this machine's network"
    ]
    done = run_raydl(*args, cwd=here, env={"RAYDL_DEBUG": "1"})
    assert done.returncode == short.returncode == 3
    for link in ("ConnectionRefusedError", "requests.exceptions.ConnectionError", "OriginFailure"):
        assert link in done.stderr
    assert done.stderr.count("raydl.model.errors.NetworkError: ") == 1
    assert "hunter" not in done.stderr
    assert done.stderr.splitlines()[-1] == short.stderr.splitlines()[-1]
    done = run_raydl("fetch", origin.url("/f?key=hunter3"), cwd=here, env={"RAYDL_DEBUG": "1"})
    assert done.returncode == 0
    for kind in ("probed", "planned", "part_started", "part_fetched", "verifying", "finished"):
        assert f" {kind}: " in done.stderr
    assert "hunter" not in done.stderr


def test_ctrl_c_while_it_starts_leaves_no_traceback():
    code = """if True:
        import os, signal, sys
        from raydl.__main__ import main

        class Interrupts:
            def find_spec(self, name, path, target=None):
                if name == "raydl.cli.main":
                    os.kill(os.getpid(), signal.SIGINT)

        sys.meta_path.insert(0, Interrupts())
        main()
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""
