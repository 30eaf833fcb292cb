"""`ray job submit -- raydl fetch …`, and what Ray's tools show of what raydl does."""

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from raydl.output.journal import Journal
from tests.conftest import RAYDL, random_bytes, run_raydl
from tests.conftest import _nodes as ray_nodes
from tests.everywhere import Everywhere
from tests.objectstores import bucket, s3_server, service  # noqa: F401 - fixtures
from tests.scripted import anything, stall, status

ROOT = Path(__file__).parent.parent

pytest.importorskip("aiohttp_cors")  # of ray[default], which brings Ray's job server

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]


def until(call, seconds=60.0):
    """What ``call`` returns as soon as that is something."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := call():
                return found
        except (OSError, RuntimeError) as error:
            # The server is there before the agents that start jobs.
            if isinstance(error, RuntimeError) and "No available agent" not in str(error):
                raise
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module")
def dashboard():
    """The address of the dashboard of two nodes."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    nodes = ray_nodes(2, include_dashboard=True, dashboard_port=port)
    cluster = next(nodes)
    address = f"http://127.0.0.1:{port}"
    until(lambda: urlopen(f"{address}/api/version", timeout=5).status == 200)
    yield address, cluster.address
    next(nodes, None)


@pytest.fixture
def jobs(dashboard):
    from ray.job_submission import JobSubmissionClient

    return JobSubmissionClient(dashboard[0])


def ended(jobs, job):
    return until(lambda: jobs.get_job_status(job).is_terminal(), 120)


def test_a_job(jobs, make_origin, tmp_path):
    origin = make_origin(random_bytes(30_000_000))
    target = tmp_path / "out"
    raydl = f"{sys.executable} -m raydl fetch"
    line = f"{raydl} {origin.url()} -o {target} --limit-rate 5M --no-fetch-here"
    job = until(lambda: jobs.submit_job(entrypoint=line))
    ended(jobs, job)
    log = jobs.get_job_logs(job)
    assert jobs.get_job_status(job) == "SUCCEEDED", log
    assert target.read_bytes() == origin.data
    lines = log.splitlines()
    assert "\r" not in log
    assert "\x1b" not in log
    assert any(" %, " in line and " of 28.6 MiB, " in line for line in lines), log
    assert any(line.startswith(f"{target}: 28.6 MiB in ") for line in lines), log
    assert len(lines) < 15, log


def test_a_job_that_fails(jobs, origin, tmp_path):
    origin.on(status(404), None, anything)
    line = f"{sys.executable} -m raydl fetch {origin.url()} -o {tmp_path / 'out'}"
    job = until(lambda: jobs.submit_job(entrypoint=line))
    ended(jobs, job)
    assert jobs.get_job_status(job) == "FAILED"
    assert "answered 404 Not Found; check the URL" in jobs.get_job_logs(job)
    assert "failed with exit code 4," in jobs.get_job_info(job).message


def test_a_job_that_is_stopped(jobs, make_origin, tmp_path):
    origin = make_origin(random_bytes(12_000_000))
    origin.on(stall(10), None, lambda s: s.is_part and s.range[1] >= 6_000_000)
    # Requests of no more than this: of a larger one that stalls, nothing would come.
    line = f"{sys.executable} -m raydl fetch {origin.url()} -o {tmp_path / 'out'} --part-size 1MiB"
    job = until(lambda: jobs.submit_job(entrypoint=line))
    journal = tmp_path / "out.part.journal"
    until(lambda: journal.exists() and Journal.load(journal).kept(12_000_000).size > 4_000_000)
    jobs.stop_job(job)
    ended(jobs, job)
    assert jobs.get_job_status(job) == "STOPPED"
    origin.release.set()
    origin.rules.clear()
    again = until(lambda: jobs.submit_job(entrypoint=line))
    ended(jobs, again)
    log = jobs.get_job_logs(again)
    assert "going on from" in log
    assert (tmp_path / "out").read_bytes() == origin.data, log


def test_a_job_that_fetches_everywhere(jobs, make_origin, tmp_path, bucket):  # noqa: F811
    everywhere = Everywhere(make_origin(b""), tmp_path / "job", bucket)
    line = shlex.join([sys.executable, "-m", "tests.everywhere", *everywhere.args])
    runtime = {"env_vars": {**everywhere.variables, "PYTHONPATH": str(ROOT)}}
    job = until(lambda: jobs.submit_job(entrypoint=line, runtime_env=runtime))
    ended(jobs, job)
    log = jobs.get_job_logs(job)
    assert jobs.get_job_status(job) == "SUCCEEDED", log
    everywhere.check(json.loads(log.splitlines()[-1]), 2)


def test_what_rays_tools_show(dashboard, make_origin, tmp_path):
    """Of two drivers at once, whose URLs are signed, and of many files."""
    from ray.job_submission import JobSubmissionClient
    from ray.util.state import list_actors, list_tasks

    address, head = dashboard
    origin = make_origin(b"")
    origin.files = {"/big.iso": random_bytes(9_000_000), "/small": b"x"}
    options = ["--address", head, "--no-fetch-here", "--progress", "none"]
    env = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    signed = origin.url("/big.iso?X-Amz-Signature=very-secret")
    drivers = [
        subprocess.Popen(
            [*RAYDL, "fetch", signed, "-o", str(tmp_path / f"{n}"), "--limit-rate", "3M", *options],
            env=env,
        )
        for n in range(2)
    ]
    assert [driver.wait(60) for driver in drivers] == [0, 0]
    small = ["fetch", origin.url("/small"), origin.url("/big.iso"), "--output-dir", "d", *options]
    assert run_raydl(*small, cwd=tmp_path, env=env).returncode == 0
    actors = list_actors(address=address)
    workers = [actor.name for actor in actors if not actor.name.startswith("_ray_internal")]
    assert all(name.startswith("raydl worker on ") for name in workers)
    assert len(set(workers)) == len(workers) >= 3
    wanted = {"raydl part of big.iso", "raydl status", "raydl small files from 127.0.0.1"}

    def shown():  # workers tell the head of their calls once a second
        tasks = list_tasks(address=address, limit=10_000)
        names = {task.name for task in tasks}
        return names if names >= wanted else None

    names = until(shown)
    assert all(name.startswith("raydl ") for name in names)
    told = [
        job.metadata["description"]
        for job in JobSubmissionClient(address).list_jobs()
        if job.type == "DRIVER"
    ]
    assert [text.partition(": ")[2] for text in told].count("big.iso") >= 2
    assert any(text.endswith(": many files") for text in told)
    assert "very-secret" not in f"{names} {workers} {told}"
