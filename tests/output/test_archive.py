"""Archives of all kinds, whole, damaged and hostile, from bytes in order to a directory."""

import bz2
import gzip
import io
import lzma
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest

from raydl.model.errors import UsageError, WrongAnswerError
from raydl.output import archive, packed
from tests.conftest import random_bytes
from tests.output.archives import (
    FILE,
    LINK,
    PROGRAM,
    entry,
    folder,
    hardlink,
    listing,
    symlink,
    tar_of,
    unpack,
    zip_of,
)

BIG = random_bytes(300_000)
TAR = tar_of(
    folder("a"),
    entry("a/big", BIG),
    entry("a/run", b"#!", mode=0o4777),
    symlink("a/link", "../b/c"),
    entry("b/c", b"deep"),
    hardlink("again", "a/big"),
)
WHAT = {
    "a": None, "a/big": BIG, "a/run": b"#!", "a/link": "../b/c", "b": None, "b/c": b"deep",
    "again": BIG,
}  # fmt: skip
ZIP = zip_of(
    ("a/", b"", 0), ("a/big", BIG, FILE), ("a/run", b"#!", PROGRAM), ("a/link", b"../b/c", LINK),
    ("b/c", b"deep", FILE), ("again", BIG, 0),
)  # fmt: skip


def zstd(data):
    name = "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
    module = pytest.importorskip(name)
    return module.compress(data, options={module.CompressionParameter.checksum_flag: 1})


PACKERS = {
    "plain": bytes,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd,
}
PACKED = ["gz", "bz2", "xz", "zst"]


def refused(data, tmp_path, match, **kwargs):
    """It is, and nothing of it is there, here or beside."""
    home = tmp_path / "home"
    home.mkdir()
    with pytest.raises(WrongAnswerError, match=match):
        unpack(data, home / "out", **kwargs)
    assert os.listdir(tmp_path) == ["home"]
    assert os.listdir(home) == []


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("step", [0, 700, 100_000])
def test_tar(tmp_path, kind, step):
    unpack(PACKERS[kind](TAR), tmp_path / "out", step)
    assert listing(tmp_path / "out") == WHAT
    assert os.listdir(tmp_path) == ["out"]
    assert (tmp_path / "out/a/run").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "out/again").samefile(tmp_path / "out/a/big")


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar(tmp_path, format):
    made, name = io.BytesIO(), f"{'d' * 90}/{'e' * 90}"
    with tarfile.open(fileobj=made, mode="w", format=format) as tar:
        member, data = entry(name, b"x", mtime=1_600_000_000)
        tar.addfile(member, io.BytesIO(data))
    unpack(made.getvalue(), tmp_path / "out", 512)
    assert (tmp_path / "out" / name).read_bytes() == b"x"
    assert (tmp_path / "out" / name).stat().st_mtime == 1_600_000_000


@pytest.mark.parametrize("kind", PACKED)
def test_several_packed_streams_in_one(tmp_path, kind):
    """As pigz, pbzip2 and pzstd write; and zeros to fill a tape's block."""
    pack = PACKERS[kind]
    data = pack(TAR[:1000]) + pack(b"") + pack(TAR[1000:]) + bytes(2000)
    for step in (0, 1000):
        unpack(data, tmp_path / f"out{step}", step)
        assert listing(tmp_path / f"out{step}") == WHAT


def test_a_frame_of_zstd_that_is_skipped(tmp_path):
    unpack(b"\x50\x2a\x4d\x18\3\0\0\0abc" + zstd(TAR), tmp_path / "out")
    assert listing(tmp_path / "out") == WHAT


def test_what_would_take_too_much_memory(tmp_path):
    zstd(b"")  # is skipped without its library
    module = sys.modules.get("backports.zstd") or sys.modules["compression.zstd"]
    packer = module.ZstdCompressor(options={module.CompressionParameter.window_log: 28})
    refused(packer.compress(TAR * 2) + packer.flush(), tmp_path, "takes too much memory")


def test_zstd_without_its_library(tmp_path, monkeypatch):
    for name in ("compression", "compression.zstd", "backports", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install backports\.zstd"):
        unpack(b"\x28\xb5\x2f\xfd" + bytes(100), tmp_path / "out")


def test_nothing_in_it(tmp_path):
    unpack(tar_of(), tmp_path / "tar")
    unpack(zip_of(), tmp_path / "zip")
    assert listing(tmp_path / "tar") == listing(tmp_path / "zip") == {}


@pytest.mark.parametrize("version", ["oldgnu", "1.0", "0.1"])
def test_holes_stay_holes(tmp_path, version):
    holed = tmp_path / "holed"
    with holed.open("wb") as file:
        file.seek(40 << 20)
        file.write(b"x" * 5000)
        file.truncate(100 << 20)
    form = (
        ["--format=gnu"] if version == "oldgnu" else ["--format=pax", f"--sparse-version={version}"]
    )
    command = ["tar", "-cS", *form, "-C", str(tmp_path), "holed"]
    data = subprocess.run(command, check=True, capture_output=True).stdout
    assert len(data) < 1 << 20
    unpack(data, tmp_path / "out")
    assert subprocess.run(["cmp", holed, tmp_path / "out/holed"], check=False).returncode == 0
    assert (tmp_path / "out/holed").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"<html>please log in</html>" * 100, random_bytes(5000), bytes(100)],
    ids=["nothing", "a byte", "a page", "anything", "zeros"],
)
def test_what_is_no_archive(tmp_path, data):
    refused(data, tmp_path, "it is empty|no zip, and no tar")


@pytest.mark.parametrize("kind", PACKED)
def test_what_is_packed_and_no_tar(tmp_path, kind):
    refused(PACKERS[kind](b"just text\n" * 1000), tmp_path, "no tar")


@pytest.mark.parametrize("kind", PACKERS)
def test_it_ends_early(tmp_path, kind):
    """Wherever it is cut off: amid a file, between two, before the last word of the packer."""
    data = PACKERS[kind](tar_of(entry("f", b"x" * 1000), entry("g", b"y" * 2000)))
    cuts = range(1, len(data), 256) if kind == "plain" else range(1, len(data))
    for cut in cuts:
        if kind == "plain" and cut >= 512 * 9:
            break  # the end is there, and what is missing only fills the block
        with pytest.raises(WrongAnswerError):
            unpack(data[:cut], tmp_path / "out")
        assert os.listdir(tmp_path) == []


def test_a_header_that_is_damaged_is_not_the_end(tmp_path):
    data = bytearray(tar_of(entry("f", b"x"), entry("g", b"y")))
    data[1024 + 5] ^= 1
    refused(bytes(data), tmp_path, "damaged")


@pytest.mark.parametrize("kind", PACKERS)
def test_something_follows(tmp_path, kind):
    refused(PACKERS[kind](TAR) + b"garbage", tmp_path, "follows|damaged|ends early")


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz", "zst"])
def test_damage_anywhere_is_found(tmp_path, kind):
    """In what is packed; plain tars have no checksum of what is in the files."""
    data = PACKERS[kind](TAR)
    chance = random.Random(1)
    for _ in range(20):
        broken = bytearray(data)
        broken[chance.randrange(20, len(data))] ^= 1 << chance.randrange(8)
        try:
            unpack(bytes(broken), tmp_path / "out")
        except WrongAnswerError:
            assert os.listdir(tmp_path) == []
        else:  # a bit that nobody reads
            assert listing(tmp_path / "out") == WHAT
            subprocess.run(["rm", "-r", tmp_path / "out"], check=True)


def sized(name, size, kind):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_gigabytes_takes_no_memory(tmp_path, kind):
    # Newer Pythons read it in pieces, and come to the end first.
    refused(sized("f", 1 << 40, kind) + bytes(1 << 20), tmp_path, "too long|damaged")


def test_headers_before_headers(tmp_path):
    one = sized("f", 512, tarfile.GNUTYPE_LONGNAME) + b"n".ljust(512, b"\0")
    refused(one * 5000 + TAR, tmp_path, "damaged|too long")


def test_what_holds_for_all_members_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_HEADERS", 20_000)
    made = io.BytesIO()
    for number in range(10):
        fields = {f"k{number}": "v" * 5000}
        made.write(tarfile.TarInfo.create_pax_global_header(fields))
        made.write(tarfile.TarInfo(f"f{number}").tobuf())
    refused(made.getvalue() + bytes(1024), tmp_path, "damaged")


@pytest.mark.parametrize("size", [-1, -600])
def test_a_negative_size(tmp_path, size):
    block = bytearray(sized("f", 0, tarfile.REGTYPE))
    block[124:136] = b"\xff" * 4 + struct.pack(">q", size)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    refused(bytes(block) + bytes(1024), tmp_path, "damaged|overlap")


def test_many_members_are_not_kept(tmp_path):
    found = archive.members(iter([memoryview(TAR)]), None, lambda: None)
    next(found)
    (tar,) = [v for v in found.gi_frame.f_locals.values() if isinstance(v, tarfile.TarFile)]
    for _, content in found:
        assert not tar.members
        list(content)


@pytest.mark.parametrize("step", [0, 700])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(tmp_path, method, step):
    data = zip_of(
        ("a/", b"", 0), ("a/big", BIG, FILE), ("a/run", b"#!", PROGRAM),
        ("a/link", b"../b/c", LINK),
        ("b/c", b"deep", FILE), ("again", BIG, 0), method=method,
    )  # fmt: skip
    unpack(data, tmp_path / "out", step)
    assert listing(tmp_path / "out") == WHAT
    assert (tmp_path / "out/a/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/again").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_nothing_bounds_are_refused(tmp_path, method):
    refused(zip_of(("a", BIG, FILE), method=method), tmp_path, "packed by a rare method")


def test_a_list_that_lets_a_member_take_the_place_of_the_next(tmp_path):
    """The bytes are honest; who answers for the list alone is not."""
    honest = zip_of(("a", b"1" * 90, FILE), ("b", b"2" * 90, FILE), method=zipfile.ZIP_STORED)
    with zipfile.ZipFile(io.BytesIO(honest)) as zipped:
        begin, second = zipped.start_dir, zipped.infolist()[1]
    other = bytearray(honest)
    at = honest.index(b"PK\x01\x02", begin + 4)  # of the second one: a size that goes to the end
    size = len(honest) - second.header_offset - 31
    other[at + 20 : at + 28] = struct.pack("<LL", size, size)
    refused(honest, tmp_path, "reaches into its list", listed=bytes(other))


@pytest.mark.parametrize("name", [".raydl-files", "a/x.part", "a/raydl.toml/b"])
def test_names_that_raydl_obeys_are_refused(tmp_path, name):
    refused(zip_of((name, b"x", FILE)), tmp_path, "a name that raydl itself obeys")


def test_a_zip_whose_list_has_another_order(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for name in "abc":
            zipped.writestr(name, name * 1000)
        zipped.filelist.reverse()
    unpack(made.getvalue(), tmp_path / "out", 100)
    assert listing(tmp_path / "out") == {name: name.encode() * 1000 for name in "abc"}


def test_a_zip_that_was_written_to_a_pipe(tmp_path):
    """Sizes are behind the bytes there, and in the list."""

    class Pipe(io.RawIOBase):
        def __init__(self):
            self.data = b""

        def writable(self):
            return True

        def write(self, data):
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("f", BIG)
        zipped.writestr("g", b"x")
    unpack(pipe.data, tmp_path / "out", 1000)
    assert listing(tmp_path / "out") == {"f": BIG, "g": b"x"}


@pytest.mark.parametrize(
    "name", ["", "/etc/x", "../x", "a/../../x", "a/../b", "C:/x", "c:x", "a\\..\\..\\x", "\\x"]
)
def test_names_in_a_zip_that_lead_elsewhere(tmp_path, name):
    refused(zip_of(("ok", b"", FILE), (name, b"x", FILE)), tmp_path, "no name|leads out")


@pytest.mark.parametrize("link", [b"/etc/passwd", b"..", b"../x", b"a/../../x"])
def test_links_in_a_zip_that_lead_elsewhere(tmp_path, link):
    refused(zip_of(("l", link, LINK)), tmp_path, "'l' is a link out of the directory")


def test_what_a_zip_must_not_hold(tmp_path):
    refused(zip_of(("dev", b"", 0o020666)), tmp_path, "'dev' is neither")


def test_a_long_link_in_a_zip(tmp_path):
    refused(zip_of(("l", b"x" * 5000, LINK)), tmp_path, "too long")


def test_a_zip_that_is_encrypted(tmp_path):
    data = bytearray(ZIP)
    at = data.rindex(b"PK\1\2")
    data[at + 8] |= 1
    refused(bytes(data), tmp_path, "'again' is encrypted.*unzip asks for the password")


def test_a_method_that_python_does_not_know(tmp_path):
    data = bytearray(zip_of(("f", BIG, FILE)))
    data[data.rindex(b"PK\1\2") + 10] = 9  # deflate64
    refused(bytes(data), tmp_path, "without extract=True")


def test_damage_in_a_zip(tmp_path):
    data = bytearray(zip_of(("f", BIG, FILE), method=zipfile.ZIP_STORED))
    data[5000] ^= 1
    refused(bytes(data), tmp_path, "'f' is damaged")


def test_a_zip_that_ends_early(tmp_path):
    refused(ZIP[:-30], tmp_path, "list of members is damaged")


def test_members_of_a_zip_that_overlap(tmp_path):
    """A bomb of few bytes: many members are one."""
    data = bytearray(zip_of(("a", b"x" * 1000, FILE), ("b", b"x" * 1000, FILE)))
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    data[second + 42 : second + 47] = data[first + 42 : first + 47]  # where it is, and its name
    refused(bytes(data), tmp_path, "overlap|damaged")


def test_a_list_that_is_another_one_in_the_bytes_that_come(tmp_path):
    """Else a digest would prove bytes that were not used."""
    other = bytearray(ZIP)
    at = other.rindex(b"PK\1\2")
    other[at + 38 : at + 42] = struct.pack("<L", PROGRAM << 16)
    refused(ZIP, tmp_path, "another one a moment ago", listed=bytes(other))


def test_a_list_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_LIST", 200)
    refused(ZIP, tmp_path, "too long")


def test_a_zip_without_byte_ranges(tmp_path):
    with pytest.raises(WrongAnswerError, match="needs byte ranges"):
        archive.members(iter([memoryview(ZIP)]), None, lambda: None)


def test_a_zip_is_unpacked_in_small_steps(tmp_path):
    """What unpacks to much is never in memory whole."""
    data = zip_of(("zeros", bytes(30 << 20), FILE))
    found = archive.members(iter([memoryview(data)]), lambda: io.BytesIO(data), lambda: None)
    _, content = next(found)
    assert max(len(piece) for _, piece in content) <= 1 << 20


@pytest.mark.parametrize("kind", PACKED)
def test_a_tar_is_unpacked_in_small_steps(tmp_path, kind):
    data = PACKERS[kind](bytes(30 << 20))
    new = list(packed._PACKED.values())[PACKED.index(kind)]
    pieces = packed._unpack(iter([data]), new)
    assert max(len(piece) for piece in pieces) <= 1 << 20
