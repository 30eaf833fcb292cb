"""How a hub's library keeps a repository in its cache: blobs, and links to them.

That is "Understand caching" in huggingface_hub's documentation. Shipped to the nodes by value.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from raydl.model.errors import OutputError


def link(folder: Path, commit: str, revision: str, names: Iterable[tuple[str, str]]) -> None:
    """Give the blobs that are there their names in the snapshot, and the revision its commit.

    ``names`` are pairs of a blob and a path. Raises OutputError.
    """
    snapshot = folder / "snapshots" / commit
    try:
        for blob_name, path in names:
            blob, name = folder / "blobs" / blob_name, snapshot / path
            if blob.is_file() and not name.exists():
                name.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    name.unlink()  # it leads to what is there no more
                name.symlink_to(os.path.relpath(blob, name.parent))
        if revision != commit:
            ref = folder / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            new = ref.with_name(f"{ref.name}.new")
            new.write_text(commit)
            new.replace(ref)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from None
