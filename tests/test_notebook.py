"""In a real kernel: the widget, interrupt and go on, a Ray session made before, async."""

import asyncio
import re
import textwrap
import threading
import time

import pytest

from raydl.view.widget import has_widgets
from tests import scripted
from tests.conftest import random_bytes
from tests.download.test_handle import Gate

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore"),  # jupyter_client's own
]


class Kernel:
    """Runs cells, one after the other, in one kernel."""

    def __init__(self, cwd):
        notebook = nbformat.v4.new_notebook()
        self.client = nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(cwd)}}
        )
        self.client.create_kernel_manager()
        self.client.start_new_kernel()
        self.client.start_new_kernel_client()

    def run(self, code, allow_errors=False):
        self.client.allow_errors = allow_errors
        cell = nbformat.v4.new_code_cell(textwrap.dedent(code))
        self.client.nb.cells.append(cell)
        self.client.execute_cell(cell, len(self.client.nb.cells) - 1)
        return cell.outputs

    def close(self):
        self.client._cleanup_kernel()


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    kernel = Kernel(tmp_path)
    yield kernel
    kernel.close()


def text(outputs):
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


def drawn(kernel):
    """What each widget shows."""
    states = (s.get("state", s) for s in kernel.client.widget_state.values())
    return [s["value"] for s in states if isinstance(s.get("value"), str)]


def test_one_live_widget_and_nothing_else(kernel, origin, tmp_path):
    pytest.importorskip("ipywidgets")
    outputs = kernel.run(
        f"""
        import raydl
        report = raydl.fetch("{origin.url()}", "out", address="none", part_size=100_000)
        """
    )
    assert [o.output_type for o in outputs] == ["display_data"]
    assert "application/vnd.jupyter.widget-view+json" in outputs[0].data
    assert (tmp_path / "out").read_bytes() == origin.data
    (widget,) = drawn(kernel)
    assert "out" in widget
    assert "976.6 KiB in" in widget
    shown = kernel.run("report")
    assert "text/html" in shown[0].data


def test_a_report_is_shown_once(kernel, origin):
    """The widget shows it; as the cell's last value it adds nothing."""
    pytest.importorskip("ipywidgets")
    code = f'import raydl; raydl.fetch("{origin.url()}", "out", address="none")'
    assert [o.output_type for o in kernel.run(code)] == ["display_data"]


def test_without_widgets_plain_lines(kernel, origin):
    outputs = kernel.run(
        f"""
        import sys
        sys.modules["ipywidgets"] = None
        import raydl
        raydl.fetch("{origin.url()}", "out", address="none");
        """
    )
    assert {o.get("name") for o in outputs} == {"stdout"}
    assert "out: 976.6 KiB in" in text(outputs)
    assert kernel.run("from raydl.cluster.importing import import_ray; import_ray();") == []


def test_interrupt_and_go_on(kernel, origin, tmp_path):
    gate = Gate(origin)
    gate.let(6)
    fetch = f"""
        import raydl
        report = raydl.fetch("{origin.url()}", "out", address="none", part_size=50_000,
                             connections=2)
    """

    def interrupt():
        for _ in range(7):
            gate.waiting.acquire(timeout=60)
        while not (tmp_path / "out.part").exists() or (tmp_path / "out.part").stat().st_size < 1:
            time.sleep(0.01)
        times.append(time.monotonic())
        asyncio.run(kernel.client.km.interrupt_kernel())

    times = []
    thread = threading.Thread(target=interrupt)
    thread.start()
    outputs = kernel.run(fetch, allow_errors=True)
    assert time.monotonic() - times[0] < 2
    thread.join()
    assert [o.get("ename") for o in outputs if o.output_type == "error"] == ["KeyboardInterrupt"]
    (line,) = outputs[-1].traceback
    assert re.fullmatch(r"KeyboardInterrupt: interrupted; .* are kept: run it again to go on", line)
    if has_widgets():
        (widget,) = drawn(kernel)
        assert line.partition(": ")[2] in widget
        assert "file.bin" in widget
    gate.let(1000)
    kernel.run(fetch)
    assert int(text(kernel.run("report.resumed"))) > 0
    assert (tmp_path / "out").read_bytes() == origin.data


def test_an_error_takes_two_lines(kernel, origin):
    origin.on(scripted.status(404), None)
    code = f'import raydl; raydl.fetch("{origin.url()}", "out", address="none", progress="none")'
    (output,) = kernel.run(code, allow_errors=True)
    assert output.ename == "HttpError"
    assert output.traceback[0] == f"HttpError: 127.0.0.1:{origin.port} answered 404 Not Found"
    assert len(output.traceback) <= 2
    origin.on(scripted.status(404), None, scripted.anything)
    code = f'import fsspec; fsspec.open("raydl://{origin.url()}", address="none").open()'
    (output,) = kernel.run(code, allow_errors=True)
    assert output.get("ename") == "FileNotFoundError", output
    assert len(output.traceback) == 1


def test_await(kernel, make_origin, tmp_path):
    origins = [make_origin(random_bytes(500_000, seed)) for seed in (1, 2)]
    kernel.run(
        f"""
        import asyncio, raydl
        await asyncio.gather(
            raydl.fetch_async("{origins[0].url()}", "a", address="none", progress="none"),
            raydl.fetch_async("{origins[1].url()}", "b", address="none", progress="none"),
        )
        raydl.fetch("{origins[0].url()}", "c", address="none", progress="none")
        """
    )
    for name, origin in zip("abc", [*origins, origins[0]], strict=True):
        assert (tmp_path / name).read_bytes() == origin.data


def test_two_at_once(kernel, make_origin, tmp_path):
    """A widget each."""
    origins = [make_origin(random_bytes(500_000, seed)) for seed in (1, 2)]
    outputs = kernel.run(
        f"""
        import raydl
        downloads = [
            raydl.start("{origins[0].url()}", "a", address="none"),
            raydl.start("{origins[1].url()}", "b", address="none"),
        ]
        for download in downloads:
            download.result(60)
        """
    )
    for name, origin in zip("ab", origins, strict=True):
        assert (tmp_path / name).read_bytes() == origin.data
    shown = [o for o in outputs if "application/vnd.jupyter.widget-view+json" in o.get("data", {})]
    assert len(shown) == len(outputs) == 2


@pytest.mark.cluster
def test_the_ray_that_is_there(kernel, two_nodes, make_origin, tmp_path):
    """Used, without a line of Ray's, and left as it was; the second download starts at once."""
    origin = make_origin(random_bytes(3_000_000))
    kernel.run(
        f"""
        import ray
        ray.init("{two_nodes.address}", log_to_driver=False, logging_level="ERROR")
        before = ray.get_runtime_context().get_worker_id()
        """
    )
    outputs = kernel.run(
        f"""
        import raydl
        first = raydl.fetch("{origin.url()}", "one", fetch_here=False, progress="none")
        second = raydl.fetch("{origin.url()}", "two", fetch_here=False, progress="none")
        """
    )
    assert outputs == []
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == origin.data
    known = kernel.run("ray.get_runtime_context().get_worker_id() == before")
    assert text(known) == "True"
    assert float(text(kernel.run("second.seconds"))) < 1
    kernel.run("raydl.disconnect(); ray.shutdown()")
