"""The widget of a notebook, without a notebook."""

import pytest

from raydl.model.events import Finished, Planned, Progress
from tests.view.copies import SIZE, copy, now, report_of
from tests.view.test_html import text_of

pytest.importorskip("ipywidgets")


@pytest.fixture
def widget(monkeypatch):
    import IPython.display

    from raydl.view import widget as module

    monkeypatch.setattr(IPython.display, "display", lambda shown: None)
    monkeypatch.setattr(module, "DRAW_SECONDS", 0.0)
    return module.Widget()


def test_nodes_that_get_the_file_are_rows_instead_of_the_part_map(widget):
    widget(Planned(0, SIZE, None, 100, ""))
    widget(Progress(5, 5, SIZE, 4, 1, 0))
    assert "<svg" in widget._html.value
    widget(now(copy("10.0.0.3", "receiving", 256, 256), copy("10.0.0.4", "done", 512, 512)))
    drawn = widget._html.value
    assert "<svg" not in drawn
    assert "width:75.0%" in drawn
    assert "10.0.0.3receiving, 256 MiB from the origin, 256 MiB from others" in text_of(drawn)
    assert "1 of 2 nodes have it" in text_of(drawn)
    widget(Finished(report_of(("10.0.0.3", "done", 512, 512, 3.0))))
    assert "/data/f" in text_of(widget._html.value)
