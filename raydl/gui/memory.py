"""What the windows remember from one start to the next. No secret is among it."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from raydl.model.weburl import redact

MOST_ADDRESSES = 8
MOST_UNFINISHED = 20


MOST_TEXT = 64 << 10
"""Characters of the names of one download: a list of them belongs into a file."""


class Unfinished(NamedTuple):
    """A download that was interrupted; ``checksum`` is empty or the one that was given, ``name``
    the origin's, if that is known. ``to`` is where its bytes go, and ``nodes`` has the labels of
    the nodes that get it, with spaces between; both may be empty. Of many files ``url`` is a line
    for each URL, repository or list, and ``name`` the template for their names."""

    url: str
    target: str
    checksum: str = ""
    name: str = ""
    to: str = ""
    nodes: str = ""


def nodes_of(options: dict[str, Any]) -> str:
    """The labels of the nodes that get it."""
    return " ".join(f"{key}={value}" for key, value in options.get("nodes", ()))


class Memory:
    """A small file of the user's; what cannot be read or written is forgotten."""

    def __init__(self) -> None:
        self._path = Path(platformdirs.user_state_dir("raydl")) / "windows.json"
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            found = {}
        self._values: dict[str, Any] = found if isinstance(found, dict) else {}

    @property
    def role(self) -> str:
        """The role that was chosen last."""
        return self._text("role")

    @role.setter
    def role(self, role: str) -> None:
        self._keep("role", role)

    @property
    def theme(self) -> str:
        """system, light or dark."""
        theme = self._text("theme")
        return theme if theme in ("light", "dark") else "system"

    @theme.setter
    def theme(self, theme: str) -> None:
        self._keep("theme", theme)

    @property
    def port(self) -> str:
        """Of the head that was started last, as text."""
        return self._text("port")

    @port.setter
    def port(self, port: str) -> None:
        self._keep("port", port)

    @property
    def host(self) -> str:
        """The address of this machine that was chosen for the head."""
        return self._text("host")

    @host.setter
    def host(self, host: str) -> None:
        self._keep("host", host)

    @property
    def folder(self) -> str:
        """Where files were saved last."""
        return self._text("folder")

    @folder.setter
    def folder(self, folder: str) -> None:
        self._keep("folder", folder)

    @property
    def addresses(self) -> list[str]:
        """Of coordinators, the last one first."""
        found = self._values.get("addresses")
        return [a for a in found if isinstance(a, str)] if isinstance(found, list) else []

    def joined(self, address: str) -> None:
        """Remember the coordinator that was joined."""
        others = [a for a in self.addresses if a != address]
        self._keep("addresses", [address, *others][:MOST_ADDRESSES])

    @property
    def unfinished(self) -> list[Unfinished]:
        """Downloads that were interrupted, the last one first."""
        found = self._values.get("unfinished")
        entries = found if isinstance(found, list) else []
        return [
            Unfinished(*entry)
            for entry in entries
            if isinstance(entry, list)
            and 2 <= len(entry) <= len(Unfinished._fields)
            and all(isinstance(t, str) for t in entry)
        ]

    def interrupted(self, download: Unfinished) -> None:
        """Keep a download to resume later; not one whose URL may hold a secret."""
        names = download.url.splitlines()
        if len(download.url) <= MOST_TEXT and not any(map(_may_be_secret, names)):
            left = [u for u in self.unfinished if u[:2] != download[:2]]
            kept = [download, *left][:MOST_UNFINISHED]
            self._keep("unfinished", [list(entry) for entry in kept])

    def finished(self, url: str, target: str) -> None:
        """Forget a download that needs no resuming."""
        left = [u for u in self.unfinished if u[:2] != (url, target)]
        if left != self.unfinished:
            self._keep("unfinished", [list(entry) for entry in left])

    def _text(self, name: str) -> str:
        value = self._values.get(name)
        return value if isinstance(value, str) else ""

    def _keep(self, name: str, value: Any) -> None:
        self._values[name] = value
        with contextlib.suppress(OSError):
            self._save()

    def _save(self) -> None:
        """In one step, and readable by this user alone."""
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=folder, prefix=self._path.name)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(self._values, file, indent=1)
            Path(fresh).replace(self._path)
        except OSError:
            Path(fresh).unlink()
            raise


def _may_be_secret(name: str) -> bool:
    """What is no URL is the path of a list."""
    return "://" in name and redact(name) != name
