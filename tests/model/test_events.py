import dataclasses
import inspect
import json
import re
from pathlib import Path

import pytest

from raydl.model import events as module
from raydl.model import fileevents
from raydl.model.coverage import Coverage
from raydl.model.errors import OutputError
from raydl.model.events import Event, Failed
from raydl.model.manyreport import FileReport, ManyReport
from raydl.model.parts import Plan
from raydl.model.remote import Remote
from raydl.model.report import NodeShare, Report

REMOTE = Remote("http://h/f?s=1", "http://h/f?s=2", 5, False, '"e"', None, "f", "it is old")
REPORT = Report(
    "http://h/f", "f", 5, 5, 0, 1.0, 1.0, 1, 2, 0, {"md5": "0"}, (NodeShare("a", 5, 1),)
)
SAMPLES = {
    "by_node": (module.NodeNow("a", 4, 1e6, False),),
    "copies": (module.CopyNow("a", "receiving", 5, 3, 2, ""),),
    "remote": REMOTE,
    "report": REPORT,
    "exit_code": 3,
    "seconds": 0.5,
    "delay": 0.5,
    "slowest": (fileevents.SlowFile("f", 5.0),),
}
KINDS = [
    c
    for where in (module, fileevents)
    for _, c in inspect.getmembers(where, inspect.isclass)
    if issubclass(c, Event) and c is not Event
]


REPORTS = {
    "FileEnded": FileReport(3, "http://h/f", "f", "done"),
    "AllEnded": ManyReport("d", 1, 2, 0, 5, 1.0),
}


def sample(kind):
    values = {}
    if kind.__name__ in REPORTS:
        return kind(REPORTS[kind.__name__])
    for field in dataclasses.fields(kind):
        values[field.name] = SAMPLES.get(field.name, "text" if field.type == "str" else 3)
    return kind(**values)


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_event_is_frozen_and_becomes_json_and_a_line(kind):
    event = sample(kind)
    record = json.loads(json.dumps(event.to_dict()))
    assert record["event"] == re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()
    assert str(event)
    assert "(" not in str(event)
    assert kind.level in ("info", "warning", "detail")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.anything = 1


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_the_schema_is_documented(kind):
    """Every kind of event and every field of it stands in docs/events.md."""
    text = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    match = re.search(rf"^### `{kind.kind()}`\n(.*?)(?=^### |^## |\Z)", text, re.M | re.S)
    assert match, kind.kind()
    assert set(sample(kind).details()) == set(re.findall(r"^\| `(\w+)` \|", match[1], re.M))
    of_all = re.search(r"^## Every record$(.*?)^## ", text, re.M | re.S)[1]
    others = set(sample(kind).to_dict()) - set(sample(kind).details())
    assert others | {"time"} == set(re.findall(r"^\| `(\w+)` \|", of_all, re.M))


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_event_says_whose_it_is(kind):
    event = sample(kind)
    mine = dataclasses.replace(event, download="0123abcd", file=2)
    assert (mine.download, mine.file) == ("0123abcd", 2)
    record = mine.to_dict()
    assert (record["download"], record["file"]) == ("0123abcd", 2)
    assert str(mine) == str(event)
    assert mine.details() == event.details()
    assert kind.__match_args__ == tuple(inspect.signature(kind).parameters)[:-2]
    assert mine != event


def test_some_lines():
    assert str(module.Probed(REMOTE)) == "http://h/f?…: 5 B; one stream, because it is old"
    assert str(module.Finished(REPORT)) == "f: 5 B in 1.0s, 5 B/s, 2 retries, md5 verified"
    assert str(module.Planned.of(Plan(Coverage(), 10, 5, 2))) == "2 parts of up to 5 B"
    assert str(module.PartWritten(3, 0, 5000)) == "part 3: bytes 0 to 4,999 are written"
    assert str(module.Progress(512, 0, 1024, 2, 1, 0)) == "512 B of 1 KiB, 2 connections on 1 node"
    assert str(module.Verifying()) == "verifying"
    lost = module.LanesLeft("w1", 4, "its process ended")
    assert str(lost) == "w1 is lost: its process ended; its parts go to others"


def test_an_error_is_reported_as_the_class_that_users_know():
    class DetailError(OutputError):
        pass

    assert Failed.of(DetailError("full")).error == "OutputError"
