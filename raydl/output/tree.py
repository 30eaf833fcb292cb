"""A directory that is filled beside its name, and gets that at once when it is whole."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import tarfile
from pathlib import Path

from raydl.model.errors import BusyError, OutputError, TargetError, UsageError
from raydl.model.naming import is_obeyed
from raydl.output.archive import Content
from raydl.output.oserrors import output_error
from raydl.output.packed import SAVE_IT, unfit
from raydl.output.partfile import NOT_OFFERED, exchange, give_name, lock_file
from raydl.output.ranges import sync_file_system
from raydl.output.target import sync_directory
from raydl.settings.ownfile import make_own, open_own

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)

_UNFIT = (errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL)
"""What file systems say of names and places in files that they do not take."""

_REFUSED = {
    "AbsolutePathError": "leads out of the directory",
    "OutsideDestinationError": "leads out of the directory",
    "AbsoluteLinkError": "is a link out of the directory",
    "LinkOutsideDestinationError": "is a link out of the directory",
    "SpecialFileError": "is neither a file nor a directory nor a link",
}
"""What tarfile's filter objects to."""


def check_filter() -> None:
    """Raise UsageError where this Python cannot hold names to a directory."""
    if not hasattr(tarfile, "data_filter"):
        raise UsageError(
            "--extract needs a Python whose tarfile has filters",
            "that is 3.10.12, 3.11.4, 3.12 or later",
        )


class Tree:
    """``.NAME.part`` beside ``NAME``, for this process alone, with what becomes ``NAME`` in it.

    What an earlier run left there goes. Nothing is written outside, or through a symbolic link:
    directories above a member are none, a member replaces what has its name, and links have no
    ``..`` but at the beginning of what they lead to; so none leads out, whatever comes later.

    Raises TargetError for what is not ours there, BusyError while another raydl is at it, and
    OutputError.
    """

    def __init__(self, target: Path, overwrite: bool) -> None:
        self._shown, self._overwrite = target, overwrite
        try:
            self._target = target.parent.resolve() / target.name
            self._home = self._target.with_name(f".{target.name}.part")
            self._lock = self._take()
            try:
                self._old = self._home / "old"
                self._clear()
                self._root = self._home / f"new.{secrets.token_hex(6)}"
                self._root.mkdir()
                self._made = self._root.stat()
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise output_error(error, target) from None

    def put(self, member: tarfile.TarInfo, content: Content) -> None:
        """Make a member. Raises WrongAnswerError for one that may not be, and OutputError."""
        pieces = _pieces(member.name)
        # A slash at its end would have the filter take it for one deeper than it is.
        member.name = "/".join(pieces)
        if member.issym():
            # A `..` behind a name could mean another place once that name is a link.
            member.linkname = os.path.normpath(member.linkname)
        try:
            self._put(_filtered(member, self._root), pieces, content)
        except ValueError:  # such as a name with a NUL
            raise unfit(f"{member.name!r} is no name") from None
        except OSError as error:
            if error.errno in _UNFIT:
                raise unfit(f"{member.name!r} does not fit on this file system") from None
            raise output_error(error, self._shown) from None

    def sync(self) -> None:
        """Bring all of it to the disk. Raises OutputError."""
        try:
            sync_file_system(self._root)
        except OSError as error:
            raise output_error(error, self._shown) from None

    def publish(self) -> None:
        """Give it its name. Raises TargetError where that is taken, OutputError."""
        try:
            if not self._is_in_place():
                raise OutputError(f"{self._home} was changed by someone else", "run it again")
            if self._overwrite and os.path.lexists(self._target):
                self._replace()
            else:
                self._name()
            sync_directory(self._target.parent)
        except OSError as error:
            raise output_error(error, self._shown) from None

    def close(self) -> None:
        """Let go; what has no name yet is removed, and so is what was replaced."""
        try:
            with contextlib.suppress(OSError):
                self._give_back()
                _remove(self._root)
                _remove(self._old)
                if len(list(self._home.iterdir())) == 1:
                    (self._home / "lock").unlink()
        finally:
            os.close(self._lock)
        with contextlib.suppress(OSError):  # on NFS an open file is there until it is closed
            self._home.rmdir()

    def _take(self) -> int:
        """The lock on ``.NAME.part``, whose file shows that it is one of ours."""
        lock = self._home / "lock"
        while True:
            with contextlib.suppress(FileExistsError):
                self._home.mkdir(0o700)
            fd = None
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                fd = open_own(lock, os.O_RDWR) if os.path.lexists(lock) else self._make(lock)
            if fd is None:
                continue  # it came or went just now
            with contextlib.ExitStack() as on_error:
                on_error.callback(os.close, fd)
                if not lock_file(fd):
                    raise BusyError(
                        f"another raydl is writing {self._shown}", "wait for it, or save elsewhere"
                    )
                if self._is_ours(fd):
                    on_error.pop_all()
                    return fd

    def _make(self, lock: Path) -> int:
        if self._home.is_symlink() or self._home.is_file() or any(self._home.iterdir()):
            raise self._not_ours()
        return make_own(lock, os.O_RDWR)

    def _is_ours(self, fd: int) -> bool:
        """Whether the lock is in place. Raises TargetError where that is another user's."""
        with contextlib.suppress(FileNotFoundError):
            home, lock, ours = self._home.lstat(), (self._home / "lock").lstat(), os.fstat(fd)
            if not stat.S_ISDIR(home.st_mode) or home.st_uid != ours.st_uid:
                raise self._not_ours()
            return os.path.samestat(ours, lock)
        return False

    def _not_ours(self) -> TargetError:
        return TargetError(
            f"{self._home} is there, and is none of raydl's",
            "move it away or remove it, or save elsewhere with -o",
        )

    def _clear(self) -> None:
        """Remove what an earlier run left."""
        self._give_back()
        for path in self._home.iterdir():
            if path.name != "lock":
                _remove(path)

    def _give_back(self) -> None:
        """What was about to be replaced when that was interrupted gets its name back."""
        if os.path.lexists(self._old) and not os.path.lexists(self._target):
            self._old.rename(self._target)

    def _is_in_place(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(self._made, self._root.lstat())
        return False

    def _name(self) -> None:
        try:
            give_name(self._root, self._target)
        except OSError as error:
            if error.errno in NOT_OFFERED and not os.path.lexists(self._target):
                self._root.rename(self._target)
            elif isinstance(error, FileExistsError) or os.path.lexists(self._target):
                raise TargetError(
                    f"{self._shown} has come into being meanwhile", "--overwrite replaces it"
                ) from None
            else:
                raise

    def _replace(self) -> None:
        mode = self._target.lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise OutputError(f"{self._shown} is no directory", "save elsewhere with -o")
        # Whoever may not look into what is there may not look into what replaces it.
        self._root.chmod(stat.S_IMODE(mode) & 0o777 | 0o700)
        if not exchange(self._root, self._target):
            self._target.rename(self._old)
            self._root.rename(self._target)

    def _put(self, member: tarfile.TarInfo, pieces: list[str], content: Content) -> None:
        if not pieces and member.isdir():
            return
        path = self._path(member, pieces)
        source = self._path(member, _pieces(member.linkname)) if member.islnk() else ""
        if source == path:  # as tar has a file that it was told of twice
            return
        there = _kind(path)
        if stat.S_ISDIR(there):
            if member.isdir():
                return
            raise unfit(f"{member.name!r} is a directory, too")
        if there:
            os.unlink(path)  # noqa: PTH108
        if member.isdir():
            os.mkdir(path)  # noqa: PTH102
        elif member.isreg():
            _write(path, member, content)
        elif member.issym():
            os.symlink(member.linkname, path)  # noqa: PTH211
        else:
            self._link(member, source, path)

    def _link(self, member: tarfile.TarInfo, source: str, path: str) -> None:
        kind = _kind(source)
        if stat.S_ISREG(kind):
            os.link(source, path)
        elif stat.S_ISLNK(kind):  # from another place it may lead elsewhere: it is looked at again
            member.type, member.linkname = tarfile.SYMTYPE, os.readlink(source)  # noqa: PTH115
            self.put(member, iter(()))
        else:
            raise unfit(f"{member.name!r} is a link to no file before it")

    def _path(self, member: tarfile.TarInfo, pieces: list[str]) -> str:
        """A place in the directory; those above it are made where they are missing."""
        if not pieces:
            raise unfit(f"{member.name!r} is no name of a file")
        path = str(self._root)
        for piece in pieces[:-1]:
            path = f"{path}/{piece}"
            kind = _kind(path)
            if not kind:
                os.mkdir(path)  # noqa: PTH102
            elif not stat.S_ISDIR(kind):
                raise unfit(f"{member.name!r} leads through a link or a file")
        return f"{path}/{pieces[-1]}"


def _remove(path: Path) -> None:
    gone = path.with_name(f"gone.{secrets.token_hex(6)}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(gone)  # first: where locks are none, who still writes there shall notice
        shutil.rmtree(gone, ignore_errors=True)


def _pieces(name: str) -> list[str]:
    pieces = [piece for piece in name.split("/") if piece not in ("", ".")]
    if ".." in pieces:
        raise unfit(f"{name!r} leads out of its directory")
    for piece in pieces:
        if is_obeyed(piece):
            raise unfit(f"{name!r} is a name that raydl itself obeys", SAVE_IT)
    return pieces


def _kind(path: str) -> int:
    """The mode of what is there, 0 where nothing is."""
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(path).st_mode
    return 0


def _filtered(member: tarfile.TarInfo, root: Path) -> tarfile.TarInfo:
    """The member as tarfile lets data be."""
    try:
        return tarfile.data_filter(member, str(root))
    except tarfile.FilterError as error:
        why = _REFUSED.get(type(error).__name__, "is not let in")
        raise unfit(f"{member.name!r} {why}") from None
    except OSError as error:  # newer Pythons look where links lead
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise unfit(f"{member.name!r} is in no directory") from None
        raise


def _write(path: str, member: tarfile.TarInfo, content: Content) -> None:
    fd = os.open(path, _NEW_FILE, 0o600)
    try:
        end = 0
        for at, data in content:
            if at != end:
                os.lseek(fd, at, os.SEEK_SET)
            view, end = memoryview(data), at + len(data)
            while view.nbytes:
                view = view[os.write(fd, view) :]
        if end != member.size:
            os.ftruncate(fd, member.size)
        # Not all file systems have all permissions, and no file all times.
        with contextlib.suppress(OSError):
            os.fchmod(fd, member.mode)
        with contextlib.suppress(OSError, ValueError, OverflowError):
            os.utime(fd, (member.mtime, member.mtime))
    finally:
        os.close(fd)
