"""CRCs of what follows each other."""

import zlib

from hypothesis import given
from hypothesis import strategies as st

from raydl.model.crc import joined_crc32


@given(st.binary(), st.binary())
def test_two_crcs_make_that_of_both(first, second):
    joined = joined_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


def test_a_long_second_one_counts_as_a_long_one():
    second = bytes(9 << 20)
    assert joined_crc32(zlib.crc32(b"a"), zlib.crc32(second), len(second)) == zlib.crc32(
        b"a" + second
    )
