"""The CRC-32 of bytes that follow each other, from those of the two: nobody has to read them again.

As zlib's crc32_combine does it: appending n bytes multiplies the polynomial by x to the 8n.
"""

from __future__ import annotations

from functools import cache

_POLYNOMIAL = 0xEDB88320


def joined_crc32(first: int, second: int, size: int) -> int:
    """The CRC-32 of what has ``first``, followed by ``size`` bytes that have ``second``."""
    return _times(_shift(size), first) ^ second


def _times(a: int, b: int) -> int:
    """The product of two polynomials, the highest power in the lowest bit, modulo the CRC's."""
    product = 0
    for power in range(31, -1, -1):
        if a >> power & 1:
            product ^= b
        b = b >> 1 ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@cache
def _doubled(times: int) -> int:
    """x to the power of 2 to the power of ``times``."""
    if not times:
        return 1 << 30
    half = _doubled(times - 1)
    return _times(half, half)


@cache
def _shift(size: int) -> int:
    """x to the power of 8 times ``size``."""
    result = 1 << 31
    for bit in range(size.bit_length()):
        if size >> bit & 1:
            result = _times(_doubled(bit + 3), result)
    return result
