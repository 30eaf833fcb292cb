import pytest
from hypothesis import given
from hypothesis import strategies as st

from raydl.model.naming import file_name, plain_name
from raydl.settings import config


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
        ("attachment; filename=x.bin; filename*=UTF-8''%e2%82%ac.bin", "https://h/y", "€.bin"),
        ("attachment; filename*=utf-8'en'%e2%82%ac.bin;filename=x.bin", "https://h/y", "€.bin"),
        ("attachment; FileName*=ISO-8859-1''%a3.bin", "https://h/y", "£.bin"),
        ("attachment; filename=x.bin; filename*=UTF-8''%ff", "https://h/y", "x.bin"),
        ("attachment; filename=x.bin; filename*=UTF-7''+AGE-", "https://h/y", "x.bin"),
        ("attachment; filename=x.bin; filename*=nonsense", "https://h/y", "x.bin"),
        ('attachment; filename="a;b \\"c\\".bin"', "https://h/y", "a;b c.bin"),
        ("attachment ; filename = x y.bin ; size=9", "https://h/z", "x y.bin"),
        ('attachment; filename="x.bin', "https://h/y", "x.bin"),
        ("attachment; filename=" + "x" * 10_000, "https://h/y", "y"),
        (None, "https://h/x.part", "x.part_"),
        (None, "https://h/x.PART.journal", "x.PART.journal_"),
        (None, "https://h/x.part.journal~", "x.part.journal~_"),
        (None, "https://h/x.part.iso", "x.part.iso"),
        ("attachment; filename=-rf", "https://h/x", "_-rf"),
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
    assert not name.startswith("-")
    assert not name.lower().endswith((".part", ".part.journal", ".part.journal~"))
    assert len(f"{name}.part.journal~".encode()) <= 255


def test_no_origin_configures_raydl():
    assert file_name(None, f"https://h/{config.FILE_NAME}") != config.FILE_NAME


def test_long_names_keep_their_ending():
    name = plain_name("ä" * 300 + ".tar.gz")
    assert name.endswith(".gz")
    assert len(name.encode()) <= 255 - len(".part.journal~")


def test_a_name_that_is_cut_is_harmless_as_well():
    for count in range(230, 250):
        name = plain_name("-" + "x" * count + ".part" + "y" * 30)
        assert not name.endswith(".part")
        assert len(name.encode()) <= 255 - len(".part.journal~")


def test_a_header_that_costs_much_to_read():
    """Parameters without an end, as many as a header holds: they are read once."""
    for piece in (';a="', ";" + " " * 50, ";a", ';a="\\"', "\\", ";filename*0*=x"):
        header = "attachment" + piece * (8000 // len(piece))
        assert file_name(header, "https://h/x") == "x"
