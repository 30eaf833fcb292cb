import re
import time

import pytest

from tests.conftest import run_raydl


@pytest.mark.cluster
@pytest.mark.slow
def test_the_demo_shows_what_it_says(tmp_path):
    began = time.monotonic()
    done = run_raydl("demo", cwd=tmp_path, timeout=80)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "3 nodes, 2 connections each: " in done.stdout
    shares = [line.split()[-2:] for line in lines if line.startswith("  ") and "(" not in line]
    assert {unit for _, unit in shares} == {"MiB"}
    assert sum(float(size) for size, _ in shares) == pytest.approx(48, abs=0.2)
    for line in lines:  # what took so long, at that speed, is the file
        if figures := re.search(r": ([\d.]+)s, ([\d.]+) MiB/s$", line):
            assert float(figures[1]) * float(figures[2]) == pytest.approx(48, rel=0.05)
    assert float(lines[-1].split(" times")[0]) > 2
    assert "both files have the right sha256" in lines[-1]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 60
