from urllib.parse import parse_qsl

import pytest

from raydl.origin.signing import without_signature

S3 = (
    "X-Amz-Algorithm=A&X-Amz-Credential=C&X-Amz-Date=D&X-Amz-Expires=9&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=S"
)
GCS = S3.replace("Amz", "Goog")
SAS = "sv=2023-01-01&sr=b&sig=S&se=2030-01-01&sp=r"
CLOUDFRONT = "Signature=S&Key-Pair-Id=K"


def naming(query):
    return "&".join(name for name, _ in without_signature(parse_qsl(query)))


@pytest.mark.parametrize(
    "query",
    [
        S3,
        f"{S3}&X-Amz-Security-Token=T",
        S3.lower(),
        f"{S3}&X-Amz-Content-Sha256=U&X-Xet-Cas-Uid=u&Expires=1&Policy=P&{CLOUDFRONT}",
        "AWSAccessKeyId=A&Signature=S&Expires=1",
        GCS,
        "GoogleAccessId=A&Expires=1&Signature=S",
        SAS,
        f"{SAS}&st=1&spr=https&sip=1&skoid=o&sktid=t&skt=1&ske=2&sks=b&skv=1",
        "sv=1&sr=b&sig=S&si=policy",
        "sv=1&ss=b&srt=o&sp=r&se=2&sig=S",
        f"Expires=1&{CLOUDFRONT}",
        f"Policy=P&{CLOUDFRONT}",
    ],
)
def test_what_signs_names_nothing(query):
    assert naming(query) == ""
    assert naming(f"id=1&{query}&versionId=2") == "id&versionId"


@pytest.mark.parametrize(
    "query",
    [
        "token=FILE1",
        "sig=FILE1",
        "st=1&se=2",
        "hmac=1&auth=2&access_token=3",
        "Expires=1&Signature=S",
        CLOUDFRONT,
        "sv=1&sig=S",
        "X-Amz-Signature=S&X-Amz-Date=D",
    ],
)
def test_half_a_scheme_is_none(query):
    """Their names alone are anybody's."""
    assert naming(query) == "&".join(part.partition("=")[0] for part in query.split("&"))


def test_what_is_there_twice_is_no_signature():
    assert naming(f"{SAS}&sig=FILE") == "sv&sr&sig&se&sp&sig"
    assert naming(f"{SAS}&st=1&st=FILE") == "st&st"
