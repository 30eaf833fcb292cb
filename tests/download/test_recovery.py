"""What a download starts over with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from raydl.download.recovery import recover
from raydl.model.control import Control
from raydl.model.errors import RangesIgnoredError
from raydl.model.remote import Remote


def test_what_is_known_to_have_no_ranges_is_not_started_over():
    """Else a download to every node would say that it starts over, and then what it said before."""
    found = SimpleNamespace(remote=Remote("u", "u", 1, False, None, None, "f"), emit=pytest.fail)
    with pytest.raises(RangesIgnoredError, match="the nodes cannot share the work"):
        recover(RangesIgnoredError("the nodes cannot share the work"), found, Control(), True)
