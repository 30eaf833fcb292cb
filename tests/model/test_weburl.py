import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl.model.errors import UsageError
from raydl.model.weburl import check_url, redact


def says(url):
    """What is wrong with it; empty where it can be fetched."""
    try:
        check_url(url)
    except UsageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "the URL is empty; write https://host/path"),
        ("example.org/f", "example.org/f has no scheme; did you mean https://example.org/f?"),
        ("//h/f?k=1", "//h/f?… has no scheme; did you mean https://h/f?…?"),
        ("https:/h/f", "https:/h/f has no scheme; did you mean https://h/f?"),
        ("h:8000/f", "h:8000/f has no scheme; did you mean https://h:8000/f?"),
        ("?", "?… has no scheme; write https://host/path"),
        ("f?to=http://h/", "f?… has no scheme; did you mean https://f?…?"),
        ("http://h:99999/x", "http://h:99999/x cannot be fetched: its port is no number from 1 to"),
        ("http://h:0/x", "http://h:0/x cannot be fetched: its port"),
        ("file:///x", "file:///x cannot be fetched: the scheme file is not supported, http, h"),
        ("FTP://h/x", "FTP://h/x cannot be fetched: the scheme ftp is not supported"),
        ("http:///x", "http:///x cannot be fetched: there is no host in it"),
        ("http://a..b/x", "http://a..b/x cannot be fetched: its host cannot be one"),
        ("https://[::1/x", "https://[::1/x cannot be fetched: its host is no address"),
        ("ftp://h/\x1b[2J", "ftp://h/\ufffd[2J cannot be fetched"),
    ],
)
def test_what_is_wrong_is_said_of_which_url(url, said):
    assert says(url).startswith(said)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://anna:hunter2@h/x",
        "anna:hunter2@h/x",
        "http://h:0/x?key=hunter2",
        "http://h:0/x#hunter2",
        "http://h:0/x?mail=a@b&key=hunter2",
        "https://anna:hunter2",
        "https://anna:hun/hunter2@h/x",
        "https://anna:a?hunter2@h/x",
        "https://anna:a#hunter2@h:0/x",
        "https://anna:hunter2@b@h:0/x",
        "s3://a://hunter2@h/x",
    ],
)
def test_nothing_secret_is_shown(url):
    assert says(url)
    assert "hunter2" not in says(url)


@given(
    st.sampled_from(["", "ftp://", "http://", "https://h:0", "//"]),
    st.text("ab:/?#@[]. %"),
    st.text("ab:/?#@[]. %"),
)
def test_a_password_is_never_shown(start, before, after):
    assert "hunter2" not in says(f"{start}{before}:hunter2{after}@h:0/x")


def test_what_can_be_fetched():
    assert check_url(" HTTPS://[::1]:8000/x ").port == 8000


def test_redacted_urls_hold_no_secret():
    secret = "https://anna:hunter2@example.org:8443/a/b.bin?X-Signature=hunter3#hunter4"
    assert redact(secret) == "https://example.org:8443/a/b.bin?…"
    assert redact("http://[::1]:80/x") == "http://[::1]:80/x"
