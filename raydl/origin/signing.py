"""What in a URL's query signs the request instead of naming the file: pure.

``?token=1`` and ``?token=2`` may be two files. So nothing is taken for a signature by its name
alone: only parameters of schemes that are known, and only where a scheme is there as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class _Scheme(NamedTuple):
    """How an origin signs URLs: all of ``needed`` are there, each once, and any of ``others``."""

    needed: frozenset[str]
    others: frozenset[str] = frozenset()


def _scheme(needed: str, others: str = "") -> _Scheme:
    return _Scheme(frozenset(needed.split()), frozenset(others.split()))


_SAS = "st sip spr ses si sdd skoid sktid skt ske sks skv skdutid saoid suoid scid"

_SCHEMES = (
    # S3 and its kin, signature version 4, also as Hugging Face's Xet has it
    _scheme(
        "x-amz-algorithm x-amz-credential x-amz-date x-amz-expires x-amz-signedheaders "
        "x-amz-signature",
        "x-amz-security-token x-amz-content-sha256 x-xet-cas-uid",
    ),
    # S3, signature version 2
    _scheme("awsaccesskeyid signature expires", "x-amz-security-token"),
    # Google Cloud Storage, versions 4 and 2
    _scheme(
        "x-goog-algorithm x-goog-credential x-goog-date x-goog-expires x-goog-signedheaders "
        "x-goog-signature"
    ),
    _scheme("googleaccessid signature expires"),
    # Azure: of a service, by its terms or by a stored policy, and of an account
    _scheme("sv sr sig se sp", _SAS),
    _scheme("sv sr sig si", _SAS),
    _scheme("sv ss srt sig se sp", _SAS),
    # CloudFront, a canned policy or one of its own
    _scheme("expires signature key-pair-id", "hash-algorithm"),
    _scheme("policy signature key-pair-id", "hash-algorithm expires"),
)


def without_signature(query: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The parameters of ``query`` that name the file: those of no scheme that is there whole."""
    pairs = list(query)
    if not pairs:
        return pairs
    count = Counter(name.lower() for name, _ in pairs)
    signing: set[str] = set()
    for scheme in _SCHEMES:
        # A name that is there twice means something else, one time of the two.
        if all(count[name] == 1 for name in scheme.needed):
            signing |= scheme.needed | {name for name in scheme.others if count[name] == 1}
    return [pair for pair in pairs if pair[0].lower() not in signing]
