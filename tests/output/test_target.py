import errno
import os
import re
from pathlib import Path

import pytest

from raydl.model.errors import OutputError, TargetError
from raydl.model.remote import Remote
from raydl.output.oserrors import output_error
from raydl.output.target import check_space, check_target, planned_path, target_path
from raydl.settings.options import Options

REMOTE = Remote("u", "u", 1, True, None, None, "name.bin")


def test_where_it_goes(tmp_path, in_tmp):
    assert target_path(None, REMOTE) == Path("name.bin")
    assert target_path(tmp_path, REMOTE) == tmp_path / "name.bin"
    assert target_path("new/", REMOTE) == Path("new/name.bin")
    assert target_path("other", REMOTE) == Path("other")
    assert planned_path(None) is None
    assert planned_path("new/") is None
    assert planned_path("x/y") == Path("x/y")


def test_an_existing_target(tmp_path):
    target = tmp_path / "f"
    assert check_target(target, Options()) is False
    target.write_text("x")
    with pytest.raises(
        TargetError, match=r"overwrite=True .*skip_existing=True .* name with output="
    ):
        check_target(target, Options())
    assert check_target(target, Options(overwrite=True)) is False
    assert check_target(target, Options(skip_existing=True)) is True


def test_a_dangling_link_is_an_existing_target(tmp_path):
    (tmp_path / "f").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetError):
        check_target(tmp_path / "f", Options())


def test_directories(tmp_path, monkeypatch):
    with pytest.raises(OutputError, match="is a directory"):
        check_target(tmp_path, Options())
    with pytest.raises(OutputError, match="mkdir -p"):
        check_target(tmp_path / "no" / "f", Options())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match=r"no permission.*; save elsewhere with output="):
        check_target(tmp_path / "f", Options())


@pytest.mark.parametrize("under", ["f/g", "f/new/g", "dangling/g"])
def test_a_file_is_no_directory(tmp_path, under):
    (tmp_path / "f").write_text("x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    name = under.partition("/")[0]
    with pytest.raises(
        OutputError, match=rf"/{name} is no directory; save elsewhere with output=$"
    ):
        check_target(tmp_path / under, Options())


def test_a_name_has_room_for_what_lies_beside_it(tmp_path):
    """Known before the origin is asked."""
    check_target(tmp_path / ("x" * 241), Options())
    with pytest.raises(OutputError, match=r"name is too long; give a shorter one with output=$"):
        check_target(tmp_path / ("x" * 245), Options())


def test_space(tmp_path):
    check_space(tmp_path / "f", 1)
    with pytest.raises(OutputError, match="PiB are needed"):
        check_space(tmp_path / "f", 1 << 60)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full; free some space, go on"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "no file can be made there; save elsewhere with output=$"),
        (errno.ENAMETOOLONG, "too long; give a shorter one with output=$"),
        (errno.EIO, "Input/output error; go on"),
    ],
)
def test_what_the_system_says_in_plain_words(number, says):
    error = OSError(number, os.strerror(number))
    assert re.search(says, str(output_error(error, Path("f"), "go on")))


def test_a_directory_that_is_gone(tmp_path):
    error = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    gone = tmp_path / "gone"
    assert f"there is no directory {gone}" in str(output_error(error, gone / "f"))


def test_what_is_no_regular_file_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(OutputError, match="no regular file"):
            check_target(path, Options(overwrite=True))


def test_odd_targets_are_plain_errors(tmp_path):
    with pytest.raises(OutputError, match="name is too long"):
        check_target(tmp_path / ("x" * 300), Options())
    with pytest.raises(OutputError, match="name is too long"):
        check_target(tmp_path / ("x" * 300) / "f", Options())
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TargetError):
        check_target(tmp_path / "dangling", Options(skip_existing=True))
