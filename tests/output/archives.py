"""Archives for tests, and what unpacks them without a network."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

from raydl.output.archive import members
from raydl.output.tree import Tree


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any) -> Any:
    """A member of a tar and its bytes; ``link`` is short for its linkname."""
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode = kind, len(data), 0o644
    if "link" in fields:
        member.linkname = fields.pop("link")
    for field, value in fields.items():
        setattr(member, field, value)
    return member, data


def folder(name: str) -> Any:
    return entry(name, kind=tarfile.DIRTYPE)


def symlink(name: str, link: str) -> Any:
    return entry(name, kind=tarfile.SYMTYPE, link=link)


def hardlink(name: str, link: str) -> Any:
    return entry(name, kind=tarfile.LNKTYPE, link=link)


def tar_of(*entries: Any, mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:  # type: ignore[call-overload]
        for member, data in entries:
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def zip_of(*entries: tuple[str, bytes, int], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Each with its name, bytes and mode, as Unix has it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as zipped:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10))
            info.filename = name  # as it is
            info.create_system, info.external_attr, info.compress_type = (
                3,
                mode << 16 | 0x20,
                method,
            )
            zipped.writestr(info, data)
    return made.getvalue()


FILE, PROGRAM, LINK = stat.S_IFREG | 0o644, stat.S_IFREG | 0o755, stat.S_IFLNK | 0o777


def unpack(data: bytes, target: Path, step: int = 0, listed: bytes | None = None) -> None:
    """Unpack it in pieces of ``step`` bytes. ``listed`` is what its list is read from."""
    step = step or len(data) or 1
    pieces = (memoryview(data)[at : at + step] for at in range(0, len(data), step))
    tree = Tree(target, overwrite=False)
    try:
        found = members(pieces, lambda: io.BytesIO(listed or data), lambda: None)
        for member, content in found:
            tree.put(member, content)
        tree.sync()
        tree.publish()
    finally:
        tree.close()


def listing(root: Path) -> dict[str, Any]:
    """What is in a directory: bytes of files, targets of links, None for directories."""
    found: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = os.readlink(path)
        else:
            found[name] = None if path.is_dir() else path.read_bytes()
    return found
