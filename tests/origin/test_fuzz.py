"""What fuzzing found once, and what hypothesis finds today."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz_headers import PARSERS, one

CORPUS = sorted((Path(__file__).parents[1] / "corpus").iterdir())


def test_the_corpus():
    assert len(CORPUS) > 30
    for path in CORPUS:
        one(path.read_bytes())


@pytest.mark.parametrize("parser", PARSERS)
@given(text=st.text(st.characters(max_codepoint=255), max_size=60))
def test_anything(parser, text):
    parser(text)
