"""``raydl verify``: what is right, which pieces are bad, and what cannot be told."""

import hashlib
import json

import pytest

from raydl.cli.notices import failed_record
from raydl.cli.verifying import verify
from raydl.model.errors import ChecksumError, UsageError
from tests.conftest import random_bytes, run_raydl
from tests.metalinks import file_of, metalink

DATA = random_bytes(1_000_500)
URL = "http://h/f.iso"


@pytest.fixture
def here(in_tmp):
    (in_tmp / "f.iso").write_bytes(DATA)
    return in_tmp


def listed(folder, *files):
    (folder / "l.meta4").write_bytes(metalink(*files))


def rot(folder, *positions, size=None):
    bad = bytearray(DATA)
    for position in positions:
        bad[position] ^= 1
    (folder / "f.iso").write_bytes(bad[:size])


def hold(linked="l.meta4", checksum=None, checksum_file=None, as_json=False):
    verify("f.iso", linked, checksum, checksum_file, as_json)


def test_what_is_right(here, capsys):
    listed(here, file_of(DATA, [URL], length=100_000), file_of(DATA, [URL], name="g"))
    hold()
    digest = hashlib.sha256(DATA).hexdigest()
    assert capsys.readouterr().out == f"right: f.iso (11 pieces of 97.7 KiB, sha256:{digest})\n"
    hold(None, f"sha256:{digest}")
    assert capsys.readouterr().out == f"right: f.iso (sha256:{digest})\n"
    (here / "SUMS").write_text(f"{digest}  f.iso\n{'0' * 64}  g\n")
    hold(None, None, "SUMS", as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "path": "f.iso", "right": True, "pieces": 0, "bad": [], "digests": {"sha256": digest},
    }  # fmt: skip


def test_which_pieces_are_bad(here, capsys):
    listed(here, file_of(DATA, [URL], name="other-name", length=100_000))
    rot(here, 5, 399_999, 400_000, 1_000_499)
    with pytest.raises(ChecksumError, match=r"4 of 11 pieces of f.iso are bad"):
        hold()
    assert capsys.readouterr().out.splitlines() == [
        "bad: piece 1 of 11, bytes 0 to 99999",
        "bad: pieces 4 to 5 of 11, bytes 300000 to 499999",
        "bad: piece 11 of 11, bytes 1000000 to 1000499",
    ]
    with pytest.raises(ChecksumError) as raised:
        hold(as_json=True)
    assert capsys.readouterr().out == ""
    record = json.loads(failed_record(raised.value))["report"]
    assert record["bad"] == [[0, 100_000], [300_000, 500_000], [1_000_000, 1_000_500]]
    assert (record["right"], record["pieces"], record["digests"]) == (False, 11, {})


@pytest.mark.parametrize("size", [0, 450_000, 1_000_499])
def test_what_is_missing_is_bad(here, capsys, size):
    listed(here, file_of(DATA, [URL], length=100_000))
    rot(here, size=size)
    with pytest.raises(ChecksumError, match=f"{11 - size // 100_000} of 11 pieces"):
        hold()


def test_what_is_too_much_is_bad(here):
    listed(here, file_of(DATA, [URL], length=100_000, whole=False))
    (here / "f.iso").write_bytes(DATA + b"x")
    with pytest.raises(ChecksumError, match="has 1000501 bytes, not 1000500"):
        hold()


def test_without_pieces_the_digest_counts(here):
    listed(here, file_of(DATA, [URL]))
    hold()
    rot(here, 7)
    with pytest.raises(ChecksumError, match=r"f.iso has sha256"):
        hold()


def test_what_cannot_be(here):
    listed(here, file_of(DATA, [URL], name="a"), file_of(DATA, [URL], name="b/f.isoo"))
    with pytest.raises(UsageError, match=r"has no file named f.iso"):
        hold()
    with pytest.raises(UsageError, match="nothing to check it against, or too much"):
        hold(None)
    with pytest.raises(UsageError, match="nothing to check it against, or too much"):
        hold("l.meta4", "md5:00")
    (here / "SUMS").write_text(f"{'0' * 64}  g\n")
    with pytest.raises(UsageError, match=r"has no digest of f.iso"):
        hold(None, None, "SUMS")
    listed(here, f"<file name='x'><url>{URL}</url></file>")
    with pytest.raises(UsageError, match="nothing to check"):
        hold()
    (here / "f.iso").unlink()
    with pytest.raises(UsageError, match="is not there"):
        hold()
    (here / "f.iso").mkdir()
    with pytest.raises(UsageError, match="is no file"):
        hold()


def test_the_command(here):
    listed(here, file_of(DATA, [URL], length=100_000))
    ran = run_raydl("verify", "f.iso", "--metalink", "l.meta4", cwd=here)
    assert (ran.returncode, ran.stderr) == (0, "")
    rot(here, 5)
    ran = run_raydl("verify", "f.iso", "--metalink", "l.meta4", cwd=here)
    assert ran.returncode == 6
    assert ran.stderr.startswith(
        "raydl: 1 of 11 pieces of f.iso are bad; raydl fetch --repair -i l.meta4 "
    )
    ran = run_raydl("verify", "gone", "--metalink", "l.meta4", cwd=here)
    assert (ran.returncode, ran.stderr) == (2, "raydl: gone is not there\n")
    ran = run_raydl("verify", "f.iso", "--checksum", "md5:" + "0" * 32, "--json", cwd=here)
    assert ran.returncode == 6
    assert json.loads(ran.stdout)["error"] == "ChecksumError"
