import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl.model.errors import UsageError
from raydl.model.units import (
    counted,
    files_of,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
    printable,
)


def test_what_others_wrote_controls_no_terminal():
    assert printable('"\x1b[2J\x9b1m é"') == '"\ufffd[2J\ufffd1m é"'


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("64MiB", 64 << 20),
        ("10MB", 10_000_000),
        ("64M", 64 << 20),
        ("1.5 GiB", 3 << 29),
        ("7", 7),
        (7, 7),
        ("3b", 3),
        ("2tb", 2 * 10**12),
    ],
)
def test_sizes(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1 parsec", "1e9", "٣MiB", "1s"])
def test_what_is_no_size(text):
    with pytest.raises(UsageError, match="size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h", 3600), (1.5, 1.5)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-3s", "3MiB"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1 GiB"), (1023 << 20, "1 GiB")],
)
def test_sizes_are_shown_short(count, text):
    assert format_size(count) == text


@given(st.integers(0, 1 << 60))
def test_a_shown_size_is_near_the_truth(count):
    assert parse_size(format_size(count)) == pytest.approx(count, rel=0.06)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0003, "1ms"),
        (0.04, "40ms"),
        (0.0999, "100ms"),
        (0.1, "0.1s"),
        (9.94, "9.9s"),
        (59.7, "1m00s"),
        (83, "1m23s"),
        (7260, "2h01m"),
    ],
)
def test_durations_are_shown_short(seconds, text):
    assert format_duration(seconds) == text


def test_files_of():
    assert [files_of(n) for n in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert [files_of(n, 1) for n in (0, 1)] == ["0 of 1 file", "1 file"]
    assert files_of(3, 3000) == "3 of 3,000 files"
    assert files_of(3, 0) == "3 files"


def test_counted():
    assert counted(1, "lane") == "1 lane"
    assert counted(0, "lane") == "0 lanes"
    assert counted(1, "retry", "retries") == "1 retry"
    assert counted(2, "retry", "retries") == "2 retries"
