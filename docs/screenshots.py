"""Draws docs/images/gui-*.png: the windows in their states, on a display without a screen.

    python docs/screenshots.py [FOLDER]

Needs Xvfb and ImageMagick's `import`. Starts Ray nodes and an origin on this machine, and ends
them.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from raydl.model.errors import CancelledError  # noqa: E402
from raydl.model.events import CopiesNow, CopyNow  # noqa: E402
from raydl.model.fileevents import FileEnded, FilesNow  # noqa: E402
from raydl.model.manyreport import FAILED, FileReport  # noqa: E402
from tests.conftest import random_bytes  # noqa: E402
from tests.display import display, drive  # noqa: E402
from tests.scripted import Origin, anything, status  # noqa: E402

SIZE = 96_000_000
SCALES = 150, 200
"""Per cent, beside 100."""


def shoot(app, folder, name):
    app.root.geometry("+0+0")
    for _ in range(30):
        app.root.update()
    target = folder / f"gui-{name}.png"
    window = subprocess.run(
        ["import", "-window", "root", "-crop",
         f"{app.root.winfo_width()}x{app.root.winfo_height()}+0+0", "+repage",
         "+dither", "-colors", "256", f"PNG8:{target}"],
        check=False,
    )  # fmt: skip
    assert window.returncode == 0
    print(target)


def slow(origin, rate):
    """Every part takes its time, so that there is something to see."""

    def behave(handler, seen):
        first, last = seen.range
        time.sleep((last - first) / rate)
        return False

    origin.on(behave, None)


def copies(share):
    """Eight nodes, of which some have the file, and one cannot have it."""
    size = 4 << 30

    def copy(number):
        has = min(size, int(size * share * (1.2 - 0.05 * number)))
        own = has // 8
        state = "done" if has == size else "receiving"
        return CopyNow(f"10.0.0.{number + 3}", state, has, own, has - own, "")

    full = CopyNow("10.0.0.10", "failed", 0, 0, 0, "disk full: 1.2 GiB free")
    return CopiesNow(size, (*map(copy, range(7)), full))


def shoot_nodes(app, folder, name="coordinator-nodes"):
    """A download to every node, of which a program tells what is to be seen."""
    window = app.window
    started, window.queue._backend.start = window.queue._backend.start, lambda *_: 0
    item = window.queue.add("https://h/model.safetensors", "/data/model.safetensors",
                            {"to": "every-node"})  # fmt: skip
    window.queue._backend.start = started
    window.select(item)
    window.form.fields["to"].set("every node")
    window.form.target.delete(0, "end")
    window.form.target.insert(0, "/data/")
    for share in (0.86, 0.88):
        window._take([("event", item.key, copies(share))])
        end = time.monotonic() + 0.5
        drive(app.root, lambda end=end: time.monotonic() > end)
    shoot(app, folder, name)
    window.form.fields["to"].set("here")
    window._take([("ended", item.key, None, CancelledError("it is only shown"))])
    window.remove()


def shoot_many(app, folder):
    """Many files, of which a program tells what is to be seen."""
    window = app.window
    backend = window.queue._backend
    started, backend.start_many = backend.start_many, lambda *_: 0
    names = [f"https://h/images/{n:04}.jpg" for n in range(240)]
    item = window.queue.add_many(names, "/home/me/Downloads/images/", {})
    backend.start_many = started
    window.select(item)
    window.form.put_url("\n".join(f"https://h/sounds/{n:02}.flac" for n in range(12)))
    failed = ((17, "h answered 404 Not Found"), (103, "its sha256 is another one"))
    ends = [
        FileEnded(FileReport(n, names[n], f"{n:04}.jpg", FAILED, error="HttpError", problem=why))
        for n, why in failed
    ]
    window._take([("event", item.key, event) for event in ends])
    for step in range(8):
        done = 120 + 3 * step
        now = FilesNow(done, 40, 2, 240, done * 310_000, 16, 1, (done + 42) / 240)
        window._take([("event", item.key, now)])
        end = time.monotonic() + 0.25
        drive(app.root, lambda end=end: time.monotonic() > end)
    shoot(app, folder, "coordinator-many")
    window.form.put_url("")
    window._take([("ended", item.key, None, CancelledError("it is only shown"))])
    window.remove()


def main(folder):
    from raydl.gui.app import App

    folder.mkdir(parents=True, exist_ok=True)
    first = App()  # kept, as all of them: a Tk may only go in the thread that made it
    shoot(first, folder, "role")
    first.quit()

    worker = App("worker")
    worker.window.address.set("127.0.0.1:1")
    worker.window.join()
    drive(worker.root, lambda: worker.window.trouble.message)
    shoot(worker, folder, "worker-error")
    worker.window.trouble.clear()

    app = App("coordinator")
    window = app.window
    drive(app.root, window.form.start_button.winfo_rootx)
    window.form.more_button.invoke()
    shoot(app, folder, "coordinator-more")
    window.form.more_dialog.withdraw()
    window.cluster.head_place.port.delete(0, "end")
    window.cluster.head_place.port.insert(0, "6391")
    window.cluster.start()
    drive(app.root, lambda: window.cluster.head)
    worker.window.address.set(window.cluster.head.address)
    worker.window.join()
    drive(worker.root, lambda: worker.window._joined)
    drive(app.root, lambda: len(window.cluster._nodes) == 2)
    shoot(app, folder, "coordinator-cluster")
    shoot_nodes(app, folder)
    shoot_many(app, folder)

    for _ in range(120):  # what was only told is no speed
        window.cluster.nodes.graph.add(0.0)

    def both():
        worker.root.update()
        return False

    with Origin(random_bytes(SIZE)) as origin:
        slow(origin, 1_500_000)
        window.form.put_url(origin.url("/big.iso"))
        window.form.target.delete(0, "end")
        window.form.target.insert(0, str(Path(os.environ["HOME"]) / "Downloads") + "/")
        window.form.fields["part_size"].set("1MiB")
        window.form.fields["max_memory"].set("24MiB")
        window.form.fields["connections"].set("5")
        window.form.submit()
        window.form.put_url("http://127.0.0.1/other.iso")
        window.form.submit()
        window.select(window.queue.items[0])
        item = window.queue.items[0]
        drive(app.root, lambda: both() or (item.share or 0) > 0.45, 90)
        worker.root.lower()
        app.root.lift()
        shoot(app, folder, "coordinator-running")
        app.look.apply("dark")
        window.repaint()
        shoot(app, folder, "coordinator-dark")
        app.look.apply("light")
        window.repaint()
        app.root.lower()
        worker.root.lift()
        drive(worker.root, lambda: app.root.update() or worker.window._lanes)
        for _ in range(6):
            before = worker.window.machine.graph._speeds[-1]
            drive(worker.root, lambda b=before: worker.window.machine.graph._speeds[-1] != b)
        shoot(worker, folder, "worker-running")
        app.root.lift()
        drive(app.root, lambda: both() or item.report, 90)
        shoot(app, folder, "coordinator-done")
        origin.rules.clear()
        window.form.put_url(origin.url("/big.iso"))
        window.form.submit()
        again = window.queue.items[-1]
        window.select(again)
        drive(app.root, lambda: again.state.is_over, 60)
        shoot(app, folder, "coordinator-exists")
        window.skip()
        origin.on(status(404), None, anything)
        window.form.put_url(origin.url("/gone.iso"))
        window.form.submit()
        last = window.queue.items[-1]
        window.select(last)
        drive(app.root, lambda: last.state.is_over, 60)
        shoot(app, folder, "coordinator-error")
    app.quit()
    worker.quit()


def main_at(percent, folder):
    """The same window on a display of more dots an inch."""
    from raydl.gui.app import App

    app = App("coordinator")
    drive(app.root, app.window.form.start_button.winfo_rootx)
    shoot_nodes(app, folder, f"coordinator-{percent}")
    app.quit()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="rdl", ignore_cleanup_errors=True) as home:
        os.environ.update(HOME=home, XDG_STATE_HOME=home, RAY_TMPDIR=home, XDG_CONFIG_HOME=home)
        (Path(home) / "Downloads").mkdir()
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
        with contextlib.ExitStack() as displays:  # until the end: Tk ends a program without one
            os.environ["DISPLAY"] = displays.enter_context(display())
            main(folder)
            for percent in SCALES:
                large = display(96 * percent // 100, f"{14 * percent}x{10 * percent}")
                os.environ["DISPLAY"] = displays.enter_context(large)
                main_at(percent, folder)
