"""Which names mean one file."""

import pytest

from raydl.origin.identity import Identity

SIGNED = "https://h/f?id=1&AWSAccessKeyId=k&Signature={0}&Expires={0}"


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (SIGNED.format(1), SIGNED.format(2), True),
        (SIGNED.format(1), "https://h/f?id=1", True),
        ("https://anna:hunter2@h/f#a", "https://h/f", True),
        ("https://h", "https://h/", True),
        ("https://h/f?id=1", "https://h/f?id=2", False),
        ("https://h/f?id=1", "https://h/f", False),
        ("https://h/f?Signature=1", "https://h/f?Signature=2", False),  # no scheme as a whole
        ("https://h/f", "https://h/g", False),
        ("https://h/f", "http://h/f", False),
    ],
)
def test_one_file_or_two(one, other, is_same):
    assert (Identity.of(one) == Identity.of(other)) is is_same


@pytest.mark.parametrize("name", ["https://anna:hunter2@h/f?sig=hunter3#hunter4", "https://h/f"])
def test_its_text_holds_all_of_it_and_no_secret(name):
    identity = Identity.of(name)
    assert Identity.parse(str(identity)) == identity
    assert "hunter" not in f"{identity}{identity!r}"
