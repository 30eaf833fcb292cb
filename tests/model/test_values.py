import pytest

from raydl.model.errors import (
    HttpError,
    NetworkError,
    OriginChangedError,
    RangesIgnoredError,
    TimedOutError,
)
from raydl.model.failure import Failure
from raydl.model.remote import Access, Remote, Source
from raydl.model.report import Report
from raydl.model.weburl import redact

SECRET = "https://anna:hunter2@example.org:8443/a/b.bin?X-Signature=hunter3#hunter4"
ACCESS = Access((("Cookie", "hunter2"),), "hunter2", "hunter2", True, "http://a:hunter2@p")


def test_redacted_urls_hold_no_secret():
    assert redact(SECRET) == "https://example.org:8443/a/b.bin?…"
    assert redact("http://[::1]:80/x") == "http://[::1]:80/x"


def test_no_repr_or_record_holds_a_secret():
    remote = Remote(SECRET, SECRET, 1, True, None, "yesterday", "b.bin", access=ACCESS)
    source = Source(SECRET, 1, None, None, ACCESS)
    assert Source.unpack(source.pack()) == source
    assert remote.validator == "yesterday"
    for text in (repr(remote), str(remote.to_dict()), repr(source)):
        assert "hunter" not in text


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(408, True), (429, True), (500, True), (503, True), (501, False), (505, False), (404, False)],
)
def test_which_statuses_are_tried_again(status, retryable):
    assert Failure("status", "", status).retryable is retryable


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("status", HttpError),
        ("changed", OriginChangedError),
        ("no-range", RangesIgnoredError),
        ("timeout", TimedOutError),
        ("tls", NetworkError),
    ],
)
def test_failures_become_errors(kind, error):
    raised = Failure(kind, "it failed", 404).to_error(" (3 tries)")
    assert type(raised) is error
    assert raised.message == "it failed (3 tries)"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 503])
def test_common_statuses_come_with_advice(status):
    assert Failure("status", "", status).to_error().hint


def test_speed():
    assert Report("u", "p", 10, fetched=10, transfer_seconds=2.0).speed == 5
    assert Report("u", "p", 0).to_dict()["speed"] == 0


def test_speed_and_time_of_a_line_fit_together():
    """The speed is that of the transfer, so its time stands beside it."""
    report = Report("u", "p", 10, fetched=10, seconds=3.0, transfer_seconds=2.0)
    assert report.summary() == "p: 10 B in 3.0s, 5 B/s over 2.0s"
