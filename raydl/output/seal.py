"""Times of writing that a directory's runs alone give: what one that was killed has left shows it.

A file has its name before anybody can note that it came. Its time of writing has it noted already:
below a tenth of a second it is a number that goes with the file's key and the directory's account.
A file of somebody else's has that number once in a million times, at a path that was begun.
Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

from hashlib import blake2b

SPAN, STEP = 100_000_000, 100
"""In ns. Some file systems keep no finer steps; in coarser ones no file shows whose it is."""


def seal_of(salt: int, key: bytes) -> int:
    """The number, which is never 0: that is what copies have which keep whole seconds."""
    found = blake2b(key, digest_size=8, key=salt.to_bytes(8, "big")).digest()
    return (1 + int.from_bytes(found, "big") % (SPAN // STEP - 1)) * STEP


def sealed(seal: int, now: int) -> int:
    """The last time (ns) before ``now`` that shows it."""
    return now - (now - seal) % SPAN


def is_sealed(seal: int, written: int) -> bool:
    """Whether that time shows it."""
    return written % SPAN == seal
