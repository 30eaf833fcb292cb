"""`ray job submit -- raydl fetch …`: the job's log reads well, and the file is right."""

import socket
import sys
import time
from urllib.request import urlopen

import pytest

from raydl.output.journal import Journal
from tests.conftest import random_bytes
from tests.scripted import anything, stall, status

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


@pytest.fixture
def jobs(own_nodes):
    from ray.job_submission import JobSubmissionClient

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own_nodes(2, include_dashboard=True, dashboard_port=port)
    address = f"http://127.0.0.1:{port}"
    until(lambda: urlopen(f"{address}/api/version", timeout=5).status == 200)
    return JobSubmissionClient(address)


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
    line = f"{sys.executable} -m raydl fetch {origin.url()} -o {tmp_path / 'out'}"
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
