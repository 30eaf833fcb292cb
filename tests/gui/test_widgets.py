"""Small pieces of the windows."""

import pytest

from raydl.gui.widgets import Wrapped
from tests.display import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")


def test_two_widths_that_lead_to_each_other_end_at_the_smaller_one(open_app):
    label = Wrapped(open_app().root, text="a word " * 40)
    configured = []
    label.configure = lambda **options: configured.append(options["wraplength"])
    label.cget = lambda _: configured[-1] if configured else 0
    for width in (300, 200, 300, 200, 300):
        label._wrap(width)
    assert configured == [300, 200]


def test_each_width_counts_again_after_a_moment(open_app):
    app = open_app()
    label = Wrapped(app.root, text="a word " * 40)
    label._wrap(300)
    label._wrap(200)
    label._widths.clear()  # as the moment's end does
    label._wrap(300)
    assert int(str(label.cget("wraplength"))) == 300
