"""A node's copies of files: taken from the object store, and given to others from the disk.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydl.model.digests import Checksum, Proof, new_hash
from raydl.model.errors import CancelledError, OutputError, RaydlError, TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.oserrors import output_error
from raydl.output.placedfile import PlacedFile, read_range
from raydl.output.record import Record, record_path

GetObject = Callable[[Any, float], memoryview | None]
"""The bytes of an object, if they come in so many seconds. Raises LookupError for lost ones."""

LOOK_SECONDS = 0.5
"""Between two looks whether the bytes that are waited for are still wanted."""

LOST = "LookupError"
"""What is lost without anybody's fault: the class in the answer."""

Answer = tuple[tuple[str, str, str] | None, Any]
"""What went wrong, as the class of an error, its message and its hint, or None; and the result."""


def open_spec(
    target: str,
    remote: Remote,
    identity: Identity,
    *,
    proof: Proof | None,
    algorithm: str | None,
    resume: bool,
    overwrite: bool,
    skip_existing: bool,
    verify: bool,
) -> dict[str, Any]:
    """What a node has to know to have a copy at ``target``, as plain data without a secret."""
    return {
        "target": target,
        "identity": str(identity),
        "size": remote.size,
        "etag": remote.etag,
        "last_modified": remote.last_modified,
        "weak_etag": remote.weak_etag,
        "weak_date": remote.weak_date,
        "media_type": remote.media_type,
        "proof": None if proof is None else (str(proof.checksum), proof.where),
        "algorithm": algorithm,
        "resume": resume,
        "overwrite": overwrite,
        "skip_existing": skip_existing,
        "verify": verify,
    }


class _Finished:
    """A file that is there, whole, from before."""

    def __init__(self, target: Path, size: int) -> None:
        self._target, self._size = target, size
        self._file = target.open("rb", buffering=0)

    def read(self, start: int, stop: int) -> bytearray:
        return read_range(self._file.fileno(), start, stop, self._target)

    def close(self) -> None:
        self._file.close()


class NodeFiles:
    """The copies on this node that the driver works at, each known by a key of the driver's.

    Methods return plain data and raise nothing.
    """

    def __init__(self, get_object: GetObject, bring: Callable[[list[Any]], None]) -> None:
        self._get_object, self._bring = get_object, bring
        self._lock = threading.Lock()
        self._files: dict[str, PlacedFile | _Finished] = {}
        self._unwanted: set[tuple[str, int]] = set()

    def open(self, key: str, spec: dict[str, Any]) -> Answer:
        """Take up the copy; returns its state, the coverage, a note, and the digest if known.

        States are ``open``, ``have`` (whole, from before) and ``skipped`` (whatever is there).
        """
        return _answer(lambda: self._open(key, spec))

    def land(self, key: str, start: int, stop: int, ref: list[Any], limit: float) -> Answer:
        """Take the bytes out of the object store and put them at their place; returns seconds.

        The reference comes within a list, so that Ray hands it on and does not wait for it.
        A LookupError's answer has the class ``LookupError``.
        """
        return _answer(lambda: self._land(key, start, stop, ref[0], limit))

    def land_all(self, key: str, items: list[tuple[int, int, Any]], limit: float) -> list[Answer]:
        """The same for several: an answer for each ``(start, stop, ref)``."""
        self._bring([ref for _, _, ref in items])
        return [self.land(key, start, stop, [ref], limit) for start, stop, ref in items]

    def forget(self, key: str, starts: list[int]) -> None:
        """Wait for these bytes no longer."""
        with self._lock:
            self._unwanted.update((key, start) for start in starts)

    def read(self, key: str, start: int, stop: int) -> tuple[Answer, Any]:
        """What happened, and these bytes of the copy."""
        data: list[Any] = []

        def read() -> None:
            data.append(self._files[key].read(start, stop))

        answer = _answer(read)
        return answer, data[0] if data else None

    def digest(self, key: str) -> Answer:
        """The digest (hex) of the whole copy, once that is safe on the disk."""
        return _answer(lambda: self._placed(key).digest(lambda: self._must_be_open(key)))

    def publish(self, key: str) -> Answer:
        """Give the copy its name."""
        return _answer(lambda: self._placed(key).publish())

    def drop(self, key: str) -> Answer:
        """Remove the copy: it is wrong."""
        return _answer(lambda: self._placed(key).drop())

    def close(self, key: str) -> Answer:
        """Let go of the copy; what there is stays for the next run."""
        with self._lock:
            file = self._files.pop(key, None)
        return _answer(lambda: file.close() if file is not None else None)

    def close_all(self) -> None:
        """Let go of all of them."""
        for key in list(self._files):
            self.close(key)

    def _placed(self, key: str) -> PlacedFile:
        file = self._files.get(key)
        if not isinstance(file, PlacedFile):
            raise OutputError("the file is not open on this node")
        return file

    def _must_be_open(self, key: str) -> None:
        if key not in self._files:
            raise CancelledError("the file was closed")

    def _open(self, key: str, spec: dict[str, Any]) -> tuple[str, str, str, str]:
        target = Path(spec["target"])
        proof = Proof(Checksum.parse(spec["proof"][0]), spec["proof"][1]) if spec["proof"] else None
        remote, identity = _remote_of(spec), Identity.parse(spec["identity"])
        try:
            found = self._look(key, target, spec, remote, identity, proof)
            if found is not None:
                return found
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise output_error(error, target) from None
        file = PlacedFile(
            target,
            remote,
            identity,
            algorithm=spec["algorithm"],
            resume=spec["resume"],
            overwrite=spec["overwrite"],
            proven=proof is not None,
        )
        with self._lock:
            self._files[key] = file
        return "open", str(file.written), file.note, ""

    def _look(
        self,
        key: str,
        target: Path,
        spec: dict[str, Any],
        remote: Remote,
        identity: Identity,
        proof: Proof | None,
    ) -> tuple[str, str, str, str] | None:
        """What is at the target, if that stays; None where there is to be a new copy."""
        if not (target.exists() or target.is_symlink()):
            return None
        if target.is_dir():
            raise OutputError(f"{target} is a directory", "give the file's path with -o")
        record = Record.load(record_path(target))
        why = "" if record is None else record.objection(target, remote, identity, proof)
        digest = "" if record is None else record.digests.get(spec["algorithm"] or "", "")
        if record is not None and not why and spec["verify"]:
            found = _digest_of(target, spec["algorithm"])
            why = "" if found == digest else "it does not have its digest any more"
        if record is not None and not why:
            assert remote.size is not None
            with self._lock:
                self._files[key] = _Finished(target, remote.size)
            return "have", f"0-{remote.size}" if remote.size else "", "", digest
        if spec["skip_existing"]:
            return "skipped", "", "", ""
        if spec["overwrite"]:
            return None
        raise TargetError(
            f"{target} exists already" + (f", and {why}" if why else ""),
            "--overwrite replaces it, --skip-existing leaves it, or save elsewhere with -o",
        )

    def _land(self, key: str, start: int, stop: int, ref: Any, limit: float) -> float:
        began = time.monotonic()
        file = self._placed(key)
        while (data := self._get_object(ref, LOOK_SECONDS)) is None:
            with self._lock:
                unwanted = (key, start) in self._unwanted
                self._unwanted.discard((key, start))
            if unwanted or key not in self._files or time.monotonic() - began > limit:
                raise LookupError("the bytes did not come")
        if data.nbytes != stop - start:
            raise LookupError(f"{data.nbytes} bytes came instead of {stop - start}")
        file.write(start, data)
        return time.monotonic() - began


def _remote_of(spec: dict[str, Any]) -> Remote:
    return Remote(
        url="",
        final_url="",
        size=spec["size"],
        ranges=True,
        etag=spec["etag"],
        last_modified=spec["last_modified"],
        name="",
        weak_etag=spec["weak_etag"],
        weak_date=spec["weak_date"],
        media_type=spec["media_type"],
    )


def _digest_of(path: Path, algorithm: str) -> str:
    digest = new_hash(algorithm)
    with path.open("rb", buffering=0) as file:
        while data := file.read(8 << 20):
            digest.update(memoryview(data))
    return digest.hexdigest()


def _answer(call: Callable[[], Any]) -> Answer:
    try:
        return None, call()
    except RaydlError as error:
        return (type(error).__name__, error.message, error.hint), None
    except LookupError as error:
        return (LOST, str(error), ""), None
    except Exception as error:  # a bug must not keep the driver waiting
        return (type(error).__name__, f"unexpected {type(error).__name__}: {error}", ""), None
