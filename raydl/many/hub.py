"""``hf://``: repositories of the Hugging Face hub, listed by its library.

In its cache they are as it keeps them (see ``output/hublayout``), so that whoever asks that library
for the files finds them, also with HF_HUB_OFFLINE=1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from raydl.many.names import checked
from raydl.model.digests import GIT, Checksum
from raydl.model.errors import HttpError, NetworkError, UsageError
from raydl.model.item import Item
from raydl.model.weburl import HUB

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}

_WORD = r"[A-Za-z0-9][\w.-]*"
_NAME = re.compile(rf"(?:(models|datasets|spaces)/)?({_WORD}/{_WORD})(?:@([^/@]+))?(?:/(.+))?")


@dataclass(frozen=True)
class Repository:
    """A repository, or what is at one ``path`` in it: a file, or all files of a directory."""

    kind: str
    name: str
    revision: str
    path: str = ""

    @classmethod
    def parse(cls, name: str) -> Repository:
        """From ``hf://[datasets/|spaces/]org/name[@revision][/path]``. Raises UsageError."""
        match = _NAME.fullmatch(name.strip().removeprefix(HUB).rstrip("/"))
        if match is None:
            raise UsageError(
                f"{name} names no repository of a hub", "hf://org/name[@revision][/path]"
            )
        kind, repository, revision, path = match.groups()
        revision = (revision or "main").replace("%2F", "/")
        return cls(KINDS[kind or "models"], repository, revision, checked(path) if path else "")

    @property
    def folder(self) -> str:
        """Its directory in the cache."""
        return f"{self.kind}s--{self.name.replace('/', '--')}"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: ``path`` in it, and what its blob in the cache is called."""

    path: str
    url: str
    blob: str
    size: int | None
    digest: Checksum

    def item(self, path: str, number: int) -> Item:
        """What a run fetches to that path."""
        return Item(self.url, path, self.size, self.digest, number)


@dataclass(frozen=True)
class Listing:
    """The files of a repository at one ``commit``."""

    repository: Repository
    commit: str
    files: tuple[HubFile, ...]


def look(name: str, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Listing:
    """What is there, with one question to the hub. Raises RaydlError.

    ``include`` and ``exclude`` are patterns such as ``*.safetensors``, for paths in the repository.
    """
    repository = Repository.parse(name)
    api = _library()
    info = _asked(lambda: api.HfApi().repo_info(
        repository.name, revision=repository.revision, repo_type=repository.kind,
        files_metadata=True,
    ), name)  # fmt: skip
    files = []
    for sibling in info.siblings or ():
        path = sibling.rfilename
        if _is_wanted(path, repository.path, include, exclude):
            url = api.hf_hub_url(
                repository.name, path, repo_type=repository.kind, revision=info.sha
            )
            files.append(_file(path, url, sibling))
    if not files:
        what = f"{name} has no such file" if info.siblings else f"{name} is empty"
        raise UsageError(what, "its patterns, or its path, fit none")
    if not re.fullmatch(r"[0-9a-f]{40}", str(info.sha)):
        raise HttpError("the hub's listing has no commit")
    return Listing(repository, info.sha, tuple(files))


def _file(path: str, url: str, sibling: Any) -> HubFile:
    if sibling.lfs is not None:
        digest = Checksum("sha256", str(sibling.lfs.sha256))
    else:
        digest = Checksum(GIT, str(sibling.blob_id))
    if not re.fullmatch(r"[0-9a-f]{40,64}", digest.hex):
        raise HttpError(f"the hub's listing has no digest of {path}")
    return HubFile(checked(path), url, digest.hex, sibling.size, digest)


def _is_wanted(path: str, below: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    if below and path != below and not path.startswith(f"{below}/"):
        return False
    return fits(path, include, exclude)


def fits(path: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a path fits one of ``include``, where there are any, and none of ``exclude``."""
    if include and not any(fnmatchcase(path, pattern) for pattern in include):
        return False
    return not any(fnmatchcase(path, pattern) for pattern in exclude)


def cache() -> Path:
    """Where the hub's library keeps what it has."""
    return Path(_library().constants.HF_HUB_CACHE)


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise UsageError("hf:// needs a library", "pip install huggingface_hub") from None
    return huggingface_hub


def _asked(question: Any, name: str) -> Any:
    """The hub's answer; its errors become ours."""
    from huggingface_hub import errors

    try:
        return question()
    except errors.GatedRepoError:
        hint = "accept its terms on the hub's page, and `hf auth login`"
        raise HttpError(f"access to {name} is refused", hint, 403) from None
    except errors.RepositoryNotFoundError:
        hint = "check the name; a private one wants `hf auth login`, or HF_TOKEN"
        raise HttpError(f"the hub has no {name}", hint, 404) from None
    except errors.RevisionNotFoundError:
        raise HttpError(f"{name}: there is no such revision", "", 404) from None
    except errors.OfflineModeIsEnabled:
        raise NetworkError(f"HF_HUB_OFFLINE forbids to ask for {name}", "unset it") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        raise HttpError(f"the hub answered {status} for {name}", "", status) from None
    except Exception as error:  # of its HTTP library, which differs from version to version
        raise NetworkError(
            f"the hub cannot be asked for {name}: {type(error).__name__}", "see HF_ENDPOINT"
        ) from None
