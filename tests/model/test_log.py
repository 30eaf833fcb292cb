import logging
import traceback

import pytest
import requests

import raydl
from raydl.model.eventlog import note
from raydl.model.events import PartFetched, PartWritten, Progress
from raydl.model.log import describe, note_failure, whole_chain
from tests import scripted

SECRET = "the first, of http://anna:hunter2@h/f?key=hunter3"


def first():
    raise OSError(SECRET)


def second():
    try:
        first()
    except OSError as error:
        raise ValueError("the second") from error


def third():
    try:
        second()
    except ValueError:
        raise KeyError("the third") from None


def last():
    try:
        third()
    except KeyError:
        raise raydl.NetworkError("the last") from None


def failed():
    """An error as stages make them: what it came from is not for users."""
    with pytest.raises(raydl.NetworkError) as caught:
        last()
    return caught.value


def test_the_whole_chain_shows_and_the_error_stays_as_it_was():
    error = failed()
    text = whole_chain(error)
    for link in ("OSError", "ValueError", "KeyError: 'the third'", "NetworkError: the last"):
        assert link in text
    assert text.index("OSError") < text.index("ValueError") < text.index("NetworkError")
    assert "in first" in text
    assert "hunter" not in text
    assert "the third" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (
            requests.exceptions.InvalidURL("http://u:hunter2@h/f?x='hunter3(a)"),
            "requests.exceptions.InvalidURL",
        ),
        (UnicodeEncodeError("latin-1", "sid=hunter2", 0, 1, "x"), "UnicodeEncodeError"),
        (ConnectionRefusedError(111, "hunter2"), "ConnectionRefusedError: [Errno 111] Connection"),
        (KeyError("part"), "KeyError: 'part'"),
        (raydl.UsageError("no URL"), "raydl.model.errors.UsageError: no URL"),
    ],
)
def test_texts_of_others_are_not_shown(error, shown):
    assert describe(error).startswith(shown)
    assert "hunter" not in describe(error)


def test_events_are_told_at_debug(caplog):
    caplog.set_level(logging.DEBUG, "raydl")
    note(PartFetched(3, 0, 5, "this machine", 0.5))
    note(PartWritten(3, 0, 5))
    note(Progress(1, 1, 5, 1, 1, 0))
    assert caplog.messages == [
        "part_fetched: part=3 start=0 stop=5 node='this machine' seconds=0.5 origin=''"
    ]
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


def test_a_failure_is_told_once(caplog):
    error = failed()
    note_failure(error)
    assert caplog.messages == []
    caplog.set_level(logging.DEBUG, "raydl")
    note_failure(error)
    note_failure(error)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("kind", [OSError, PermissionError, KeyError, MemoryError, SystemExit])
def test_errors_of_every_kind_are_told_once(caplog, kind):
    caplog.set_level(logging.DEBUG, "raydl")
    error = kind(28, "No space left on device")
    note_failure(error)
    note_failure(error)
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(kind.__name__)


def test_what_a_lane_met_is_told(origin, in_tmp, caplog):
    """A Failure is plain data, which crosses Ray: what it was made from stays where it was met."""
    caplog.set_level(logging.DEBUG, "raydl")
    origin.on(scripted.cut_off(10_000, reset=True), 1, lambda seen: seen.is_part)
    raydl.fetch(origin.url("/file.bin?key=hunter2"), progress="none", address="none", parts=1)
    assert any("ConnectionResetError" in message for message in caplog.messages)
    assert "hunter2" not in caplog.text


def test_the_api_tells_what_it_does(origin, in_tmp, caplog):
    caplog.set_level(logging.DEBUG, "raydl")
    url = origin.url("/file.bin?key=hunter2")
    raydl.fetch(url, progress="none", user="anna:hunter2", address="none")
    assert raydl.probe(url).size == raydl.open(url).seek(0, 2)
    kinds = [message.split(":")[0] for message in caplog.messages]
    assert "file.bin: open, 0 bytes are kept" in caplog.messages
    assert kinds[-2:] == ["probed", "probed"]
    assert {"probed", "planned", "part_started", "part_fetched", "finished"} <= set(kinds)
    assert "hunter2" not in caplog.text
