"""Many files in the real coordinator's window, with the real process that downloads."""

import csv
from types import SimpleNamespace

import pytest

from raydl.gui.urlfield import MOST_LINES
from raydl.model.events import ClusterChosen
from raydl.model.fileevents import FileEnded, FilesNow
from raydl.model.manyreport import FAILED, FileReport
from raydl.model.state import DownloadState
from raydl.workers.smallfiles import LARGEST
from tests.conftest import random_bytes
from tests.display import drive, why_not
from tests.download.test_handle import Gate
from tests.gui.test_windows import (
    Nobody,
    cure,
    drive_until_gone,
    fill,
    lively,
    press,
    texts,
)
from tests.scripted import status

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    pytest.mark.timeout(120),
]

COUNT = 12


@pytest.fixture
def library(make_origin):
    origin = make_origin(b"")
    origin.files = {f"/d/{n:02}.bin": random_bytes(1000 + n, n) for n in range(COUNT)}
    return origin


def urls(origin):
    return [origin.url(path) for path in origin.files]


def submit(app, window, text):
    """What was pasted becomes the last row."""
    before = len(window.queue.items)
    window.form.put_url(text)
    window.form.submit()
    drive(app.root, lambda: len(window.queue.items) > before or window.form.trouble.message)
    assert window.form.trouble.message == ""
    return window.queue.items[-1]


def there(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


def test_several_urls_are_one_row(coordinator, library, home):
    app, window = coordinator
    form = window.form
    form.put_url(" ".join(urls(library)))
    assert form.url.text.splitlines() == urls(library)
    app.root.update()
    assert int(form.url.cget("height")) == MOST_LINES
    assert f"{COUNT} URLs" in texts(form)
    assert "All files go into one folder" in " ".join(texts(form))
    press(app, form.url, "<Return>")
    drive(app.root, lambda: window.queue.items)
    (item,) = window.queue.items
    drive(app.root, lambda: item.state is DownloadState.DONE)
    wanted = {path.rpartition("/")[2]: data for path, data in library.files.items()}
    assert there(home / "Downloads") == wanted
    assert window.list.tree.item(str(item.key), "text") == f"{COUNT} files"
    assert window.list.tree.item(str(item.key), "values")[1] == "done"
    assert window.detail.files.counts["done"].cget("text") == str(COUNT)
    assert window.detail.files.bar.cget("value") == 1000
    assert window.detail.folder_button.winfo_ismapped()
    assert not window.detail.report_button.winfo_ismapped()
    assert not window.detail.strip.winfo_ismapped()
    assert str(home / "Downloads") in texts(window.detail)
    assert form.url.text == ""
    assert app.memory.unfinished == []
    again = submit(app, window, "\n".join(urls(library)))
    window.select(again)
    drive(app.root, lambda: again.state is DownloadState.DONE)
    assert window.detail.files.counts["from before"].cget("text") == str(COUNT)


def test_one_url_is_a_download_as_before(coordinator, library):
    app, window = coordinator
    item = submit(app, window, f"  {urls(library)[0]}\n")
    drive(app.root, lambda: item.state is DownloadState.DONE)
    assert item.parts.cells()
    assert window.detail.strip.winfo_ismapped()
    assert not window.detail.files.winfo_ismapped()


def test_a_list_and_what_failed_of_it(coordinator, library, tmp_path, monkeypatch):
    app, window = coordinator
    gone = "/d/03.bin"
    library.on(status(404), None, lambda seen: seen.path == gone)
    listed = tmp_path / "my list.csv"
    rows = [f"{url},set/{n}.bin" for n, url in enumerate(urls(library))]
    listed.write_text("\n".join(["url,path", *rows]))
    fill(window.form.target, str(tmp_path / "into"))
    monkeypatch.setattr(
        "raydl.gui.downloadform.filedialog.askopenfilename", lambda **_: str(listed)
    )
    window.form.list_button.invoke()
    assert window.form.url.text == str(listed)
    window.form.submit()
    drive(app.root, lambda: window.queue.items)
    (item,) = window.queue.items
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert item.name == f"my list.csv, {COUNT} files"
    assert len(there(tmp_path / "into" / "set")) == COUNT - 1
    files, detail = window.detail.files, window.detail
    drive(app.root, detail.report_button.winfo_ismapped)
    assert f"1 of {COUNT} files failed." in texts(detail)
    assert files.counts["failed"].cget("text") == "1"
    assert files.list.item("0", "text") == "set/3.bin"
    files.list.selection_set("0")
    drive(app.root, lambda: "404" in files.word.cget("text"))
    assert "--" not in " ".join(texts(detail))
    opened = []
    for module in ("detail", "coordinatorwindow"):
        monkeypatch.setattr(f"raydl.gui.{module}.open_outside", opened.append)
    detail.folder_button.invoke()
    detail.report_button.invoke()
    assert opened == [tmp_path / "into", item.report_path]
    with item.report_path.open(newline="") as file:
        states = {row["path"]: row["state"] for row in csv.DictReader(file)}
    assert len(states) == COUNT
    assert states["set/3.bin"] == "failed"
    assert detail.toggle_button.cget("text") == "Try again"
    library.rules.clear()
    asked = len(library.requests)
    press(app, detail.toggle_button, "<Return>")
    drive(app.root, lambda: item.state is DownloadState.DONE)
    assert len(library.requests) == asked + 1
    path = item.report_path
    app.quit()
    assert not path.exists()


def test_files_in_the_way_are_replaced(coordinator, library, home):
    app, window = coordinator
    mine = home / "Downloads" / "03.bin"
    mine.write_text("mine")
    item = submit(app, window, "\n".join(urls(library)))
    drive(app.root, lambda: item.state is DownloadState.FAILED)
    assert mine.read_text() == "mine"
    cure(window, "Replace").invoke()
    drive(app.root, lambda: item.state is DownloadState.DONE)
    assert mine.read_bytes() == library.files["/d/03.bin"]


def test_pause_stop_and_on_at_the_next_start(open_app, library, home):
    app = open_app("coordinator")
    window = app.window
    library.files["/d/large"] = random_bytes(LARGEST + 1)
    gate = Gate(library)
    gate.let(4)
    window.form.fields["connections"].set("1")
    item = submit(app, window, "\n".join(urls(library)))
    drive(app.root, lambda: item.status.now and item.status.now.done)
    window.toggle()
    assert item.state is DownloadState.PAUSED
    window.toggle()
    assert item.state is DownloadState.RUNNING
    window.cancel()
    drive(app.root, lambda: item.state is DownloadState.STOPPED)
    gate.let(1000)
    assert window.detail.toggle_button.cget("text") == "Resume"
    assert "Resume goes on from what is there" in window.detail.summary.cget("text")
    came = len(there(home / "Downloads"))
    assert 0 < came < COUNT + 1
    app.close()
    drive_until_gone(app)
    again = open_app("coordinator").window
    (kept,) = again.queue.items
    assert (kept.name, kept.state) == (f"{COUNT + 1} files", DownloadState.STOPPED)
    again.toggle()
    drive(again, lambda: kept.state is DownloadState.DONE)
    assert kept.report.skipped > 0
    assert kept.report.files == COUNT + 1
    assert again._memory.unfinished == []


def test_what_is_wrong_with_it_is_told_at_the_form(coordinator, home, tmp_path):
    app, window = coordinator
    form = window.form
    (tmp_path / "odd.csv").write_text("link\nhttps://h/a\n")
    (home / "Downloads" / "a.file").write_text("x")
    two = "http://127.0.0.1:1/a\nhttp://127.0.0.1:1/b"
    for text, target, message in (
        ("http://127.0.0.1:1/a\nbig.iso", "", "big.iso has no scheme"),
        (str(tmp_path / "none.txt"), "", "none.txt cannot be read"),
        (str(tmp_path / "odd.csv"), "", "the table has no column url"),
        ("hf://model", "", "names no repository"),
        (two, f"{home}/Downloads/a.file", "is a file"),
        (two, " ", "there is no folder"),
    ):
        fill(form.target, target or f"{home}/Downloads/")
        form.put_url(text)
        form.submit()
        drive(app.root, lambda: form.trouble.message)
        assert message in form.trouble.message
        assert form.start_button.instate(["!disabled"])
        assert form.url.text == text
    form.fields["to"].set("every node")
    fill(form.target, "here/")
    form.put_url(two)
    form.submit()
    drive(app.root, lambda: "absolute path" in form.trouble.message)
    app.root.update()
    assert "--" not in " ".join(texts(form))
    assert window.queue.items == []


def test_names_that_are_there_twice_are_mended_with_a_button(coordinator, make_origin, home):
    app, window = coordinator
    origin = make_origin(b"")
    origin.files = {"/a/x": b"one", "/b/x": b"two"}
    window.form.put_url("\n".join(urls(origin)))
    window.form.submit()
    drive(app.root, lambda: window.form.trouble.message)
    assert "x would be the name of 2 files" in window.form.trouble.message
    cures = {b.cget("text"): b for b in window.form.trouble.cures.winfo_children()}
    assert set(cures) == {"Number them", "Keep hosts and paths"}
    cures["Number them"].invoke()
    drive(app.root, lambda: window.queue.items)
    item = window.queue.items[0]
    drive(app.root, lambda: item.state is DownloadState.DONE)
    assert there(home / "Downloads") == {"1-x": b"one", "2-x": b"two"}


def test_while_a_list_is_read_nothing_is_asked_for_twice(coordinator, library, tmp_path):
    app, window = coordinator
    window.queue._backend = Nobody()
    window.form.put_url("\n".join(urls(library)))
    window.form.submit()
    assert window.form.start_button.cget("text") == "Reading …"
    window.form.submit()
    window.form.start_button.invoke()
    drive(app.root, lambda: window.form.start_button.cget("text") == "Start")
    app.root.update()
    assert len(window.queue.items) == 1
    window.queue.items.clear()


def test_keys_in_the_field(coordinator):
    app, window = coordinator
    url = window.form.url
    url.put("http://h/a")
    press(app, url, "<Shift-Return>")
    assert len(url.text.splitlines()) == 1
    assert url.get("1.0", "end") == "http://h/a\n\n"
    press(app, url, "<Tab>")
    assert app.root.focus_get() is window.form.paste_button
    press(app, url, "<Shift-Tab>")
    assert app.root.focus_get() not in (url, window.form.paste_button)
    assert url.text == "http://h/a\n"


def test_a_theme_reaches_the_field(coordinator):
    app, window = coordinator
    app.theme_button.invoke()
    app.theme_button.invoke()
    assert str(window.form.url.cget("background")) == app.look.palette.field
    assert app.look.theme == "dark"


def test_a_folder_is_chosen_for_several(coordinator, monkeypatch, tmp_path):
    _, window = coordinator
    monkeypatch.setattr("raydl.gui.downloadform.filedialog.askdirectory", lambda **_: str(tmp_path))
    window.form.put_url("http://h/a http://h/b")
    window.form.browse_button.invoke()
    assert window.form.target.get() == f"{tmp_path}/"


def test_a_repository_goes_into_the_cache_where_there_is_no_folder(coordinator):
    app, window = coordinator
    window.queue._backend = backend = ManyNobody()
    window.form.put_url("hf://org/model@v1")
    app.root.update()
    assert "hub's own cache" in window.form.note.cget("text")
    fill(window.form.target, "")
    window.form.submit()
    drive(app.root, lambda: backend.asked)
    _, wanted, _, options, _ = backend.asked[0]
    assert wanted.urls == ["hf://org/model@v1"]
    assert options["output_dir"] is None
    window.queue.items.clear()


class ManyNobody(Nobody):
    def start_many(self, *args):
        return self.start(*args)

    def report_path(self, key):
        return None


def test_a_hundred_thousand_failures_do_not_hold_the_window_up(coordinator):
    app, window = coordinator
    window.queue._backend = ManyNobody()
    item = window.queue.add_many(["http://h/a", "http://h/b"], "/data/", {})
    window.select(item)
    step = [0]

    def feed():
        batch = [ClusterChosen(None, "alone")]
        for _ in range(100):
            step[0] += 1
            report = FileReport(step[0], "http://h/x", f"x{step[0]}", FAILED, problem="gone")
            batch.append(FileEnded(report))
        batch.append(FilesNow(0, 0, step[0], 100_000, 0, 1, 0, 0.1))
        app.pump.post(window._take, [("event", item.key, event) for event in batch])

    busy = lively(app, feed, 1.5)
    assert busy[len(busy) * 95 // 100] < 0.05
    drive(app.root, lambda: "more: the report has all" in window.detail.files.word.cget("text"))
    window.queue.items.clear()


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("text/uri-list", "{/a b/list.txt}", "/a b/list.txt"),
        ("CF_HDROP", r"{C:\a b\l.csv} C:\\c.csv", "C:\\a b\\l.csv\nC:\\c.csv"),
        ("text/uri-list", "http://h/a http://h/b", "http://h/a\nhttp://h/b"),
        ("text/plain;charset=utf-8", "http://h/{a", "http://h/{a"),
    ],
)
def test_what_is_dropped(coordinator, kind, data, text):
    _, window = coordinator
    window.form.url.take_drop(SimpleNamespace(type=kind, data=data))
    assert window.form.url.text == text
