import re

import pytest

from raydl.model.control import Control
from raydl.model.errors import CancelledError
from raydl.model.state import DownloadState


def test_what_was_asked_of_a_download():
    control = Control()
    assert control.state is DownloadState.RUNNING
    control.pause()
    assert control.state is DownloadState.PAUSED
    control.pause(False)
    assert control.state is DownloadState.RUNNING
    control.pause()
    control.cancel()
    assert control.state is DownloadState.CANCELLING


def test_each_has_an_id_of_its_own():
    ids = {Control().id for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch("[0-9a-f]{8}", one) for one in ids)


def test_who_watches_hears_what_was_asked_before():
    control, heard = Control(), []
    control.pause()
    control.cancel()
    control.watch(lambda: heard.append("cancel"), heard.append)
    assert heard == [True, "cancel"]


def test_a_pause_is_told_once():
    control, held = Control(), []
    control.watch(lambda: None, held.append)
    for paused in (True, True, False, False):
        control.pause(paused)
    assert held == [True, False]


def test_a_wait_ends_with_a_cancel():
    control = Control()
    control.wait(0)
    control.cancel()
    with pytest.raises(CancelledError):
        control.wait(60)


def test_how_to_go_on():
    control = Control()
    assert control.how_to_go_on() == "nothing new is kept yet"
    control.kept = 2048
    assert control.how_to_go_on() == "2 KiB are kept: run it again to go on"
    control.why_nothing = "the origin ignores byte ranges"
    assert control.how_to_go_on() == "nothing is kept: the origin ignores byte ranges"
