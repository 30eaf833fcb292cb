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
    assert "3 nodes" in done.stdout
    assert float(lines[-1].split(" times")[0]) > 2
    assert "both files have the right sha256" in lines[-1]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < 60
