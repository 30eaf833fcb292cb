import pytest

from raydl.model.errors import (
    HttpError,
    NetworkError,
    OriginChangedError,
    RangesIgnoredError,
    TimedOutError,
)
from raydl.model.failure import Failure


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
