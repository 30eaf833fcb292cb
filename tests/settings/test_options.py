import dataclasses
import inspect
import typing

import pytest

import raydl
from raydl.model.digests import Checksum
from raydl.model.errors import UsageError
from raydl.settings.options import OptionKeywords, Options, option_fields, parse_option


def test_keywords_and_fields_are_the_same():
    assert list(typing.get_type_hints(OptionKeywords)) == list(option_fields())


def test_every_default_is_what_its_parser_makes_of_it():
    for name, field in option_fields().items():
        assert parse_option(name, field.default) == field.default, name
        assert field.metadata["help"].endswith((".", "].")), name


def test_text_and_numbers():
    made = Options.of({"part_size": "8MiB", "timeout": "500ms", "parts": "3", "resume": "no"})
    assert (made.part_size, made.timeout, made.parts, made.resume) == (8 << 20, 0.5, 3, False)
    assert Options.of({"checksum": "md5:" + "0" * 32}).checksum == Checksum("md5", "0" * 32)
    assert Options.of({"checksum": None, "parts": None}) == Options()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parts", 0),
        ("parts", "many"),
        ("parts", True),
        ("part_size", "65MiB"),
        ("part_size", 0),
        ("part_size", None),
        ("connections", 0),
        ("max_memory", "1KiB"),
        ("timeout", 0),
        ("retries", -1),
        ("progress", "disco"),
        ("resume", "perhaps"),
    ],
)
def test_a_bad_value_is_named(name, value):
    with pytest.raises(UsageError, match=name):
        Options.of({name: value})


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'part_size'"):
        Options.of({"partsize": 1})


def test_contradictions():
    with pytest.raises(UsageError, match="contradict"):
        Options.of({"overwrite": True, "skip_existing": True})


def test_options_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Options().parts = 3  # type: ignore[misc]


def test_fetch_takes_the_keywords():
    assert "options" in inspect.signature(raydl.fetch).parameters


@pytest.mark.parametrize(
    "value",
    ["pool=gpu zone=a", ["pool=gpu", "zone=a"], {"pool": "gpu", "zone": "a"}],
)
def test_labels_of_nodes(value):
    assert Options.of({"nodes": value}).nodes == (("pool", "gpu"), ("zone", "a"))


@pytest.mark.parametrize("value", ["", "gpu", "=a", ["pool=gpu", ""]])
def test_what_is_no_label_does_not_mean_all_nodes(value):
    with pytest.raises(UsageError, match="is no label"):
        Options.of({"nodes": value})
