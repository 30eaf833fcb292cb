import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl import config
from raydl.naming import file_name, plain_name


@pytest.mark.parametrize(
    ("header", "url", "name"),
    [
        (None, "https://h/a/b%20c.iso?x=1", "b c.iso"),
        (None, "https://h/", "download"),
        (None, "https://h/..", "download"),
        ('attachment; filename="report.pdf"', "https://h/x", "report.pdf"),
        ("attachment; filename*=UTF-8''na%C3%AFve.txt", "https://h/x", "naïve.txt"),
        ('attachment; filename="../../etc/passwd"', "https://h/x", "passwd"),
        ('attachment; filename="..\\\\evil.exe"', "https://h/x", "evil.exe"),
        ('attachment; filename=".bashrc"', "https://h/x", "bashrc"),
        ('attachment; filename="con.txt"', "https://h/x", "_con.txt"),
        ('attachment; filename="RayDL.toml"', "https://h/x", "_RayDL.toml"),
        ('attachment; filename=". ."', "https://h/x.bin", "x.bin"),
        ("attachment", "https://h/x.bin", "x.bin"),
        ("inline; filename=", "https://h/x.bin", "x.bin"),
        (None, "https://h/a%2Fb%00c", "bc"),
    ],
)
def test_names(header, url, name):
    assert file_name(header, url) == name


@given(st.text(max_size=600), st.text(max_size=80))
def test_whatever_comes_it_is_a_plain_name(header, path):
    name = file_name(f'attachment; filename="{header}"', f"https://h/{path}".replace("[", ""))
    assert name
    assert not set(name) & set("/\\\0")
    assert not name.startswith(".")
    assert len(f"{name}.part.journal".encode()) <= 255


def test_no_origin_configures_raydl():
    assert file_name(None, f"https://h/{config.FILE_NAME}") != config.FILE_NAME


def test_long_names_keep_their_ending():
    name = plain_name("ä" * 300 + ".tar.gz")
    assert name.endswith(".gz")
    assert len(name.encode()) <= 255 - len(".part.journal")
