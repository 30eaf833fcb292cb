"""docs/raydl.ipynb runs on one machine, without a cluster.

RAYDL_WRITE_TOUR=1 pytest tests/test_tour.py     writes its outputs again
"""

import os
import re
from pathlib import Path

import pytest

from tests.conftest import random_bytes

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

TOUR = Path(__file__).parent.parent / "docs" / "raydl.ipynb"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),  # jupyter_client's own
]

WRITES = "RAYDL_WRITE_TOUR" in os.environ


def test_the_tour(home, make_origin, tmp_path, monkeypatch):
    origin = make_origin(random_bytes(20_000_000))
    monkeypatch.setenv("TOUR_URL", origin.url("/data.bin"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    notebook = nbformat.read(TOUR, as_version=4)
    committed = [cell.get("outputs") for cell in notebook.cells]
    nbclient.NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    for cell, before in zip(notebook.cells, committed, strict=True):
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.text
        if not WRITES:
            kinds = [o.output_type for o in cell.get("outputs", ())]
            assert kinds == [o.output_type for o in before or ()], cell.source
    assert (tmp_path / "data.bin").read_bytes() == origin.data
    if WRITES:
        text = nbformat.writes(notebook)
        text = re.sub(r"127\.0\.0\.1:\d+/data", "127.0.0.1:8000/data", text)
        TOUR.write_text(text.replace(str(tmp_path), ".") + "\n")
