"""What Ray's tools call workers and calls."""

import pytest

from raydl.cluster.opening import describe
from raydl.cluster.titles import LONGEST, MOST_NAMES, Titles, shortened


def test_a_call_is_named_after_its_file():
    titles = Titles()
    assert titles.of("part of", "big.iso", "a file") == "raydl part of big.iso"
    assert titles.of("part of", "", "a file") == "raydl part of a file"


def test_ray_keeps_every_name_so_there_are_only_so_many():
    titles = Titles()
    made = [titles.of("part of", f"f{n}", "a file") for n in range(3 * MOST_NAMES)]
    assert len(set(made)) == MOST_NAMES + 1
    assert made[-1] == "raydl part of a file"
    assert titles.of("part of", "f0", "a file") == "raydl part of f0"


def test_each_worker_has_a_name_of_its_own():
    one, other = Titles.worker("10.0.0.1"), Titles.worker("10.0.0.1")
    assert one != other
    assert one.startswith("raydl worker on 10.0.0.1 ")


@pytest.mark.parametrize("name", ["x" * 500, "ä" * 65 + ".iso", "\x1b[2J" + "y" * 400 + ".tar.gz"])
def test_a_long_name_keeps_its_beginning_and_its_end(name):
    shown = Titles().of("part of", name, "a file").removeprefix("raydl part of ")
    assert len(shown) == LONGEST
    assert shown.isprintable()
    assert shown[-7:] == name[-7:]


def test_a_short_name_stays_as_it_is():
    assert shortened("x" * LONGEST) == "x" * LONGEST


def test_a_job_says_what_it_is_for():
    assert describe("big.iso").endswith(": big.iso")
    assert describe("").startswith("raydl ")
    assert "\n" not in describe("a\nb")
