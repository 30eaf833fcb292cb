"""A node's copies of files: taken from the object store, and given to others from the disk.

Shipped to the nodes by value, with what it uses: nothing in here imports raydl inside a function.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raydl.model.coverage import Coverage
from raydl.model.digests import Checksum, Proof
from raydl.model.errors import CancelledError, OutputError, RaydlError, TargetError
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.finished import Finished, find
from raydl.output.oserrors import output_error
from raydl.output.placedfile import PlacedFile
from raydl.output.target import verify_target

GetObject = Callable[[Any, float], memoryview | None]
"""The bytes of an object, if they come in so many seconds. Raises LookupError for lost ones."""

LOOK_SECONDS = 0.5
"""Between two looks whether the bytes that are waited for are still wanted."""

LOST = "LookupError"
"""What is lost without anybody's fault: the class in the answer."""

LATE, MISSING = "there was no time for it", "the bytes did not come"
"""What such an answer says."""

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
    compare: bool,
) -> dict[str, Any]:
    """What a node has to know to have a copy at ``target``, as plain data without a secret.

    ``compare``: what ``skip_existing`` leaves there is held against the proof.
    """
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
        "compare": compare,
    }


class NodeFiles:
    """The copies on this node that the driver works at, each known by a key of the driver's.

    Methods return plain data and raise nothing. A call may come after the ``close`` that was sent
    behind it: it finds the copy closed.
    """

    def __init__(self, get_object: GetObject, bring: Callable[[list[Any]], None]) -> None:
        self._get_object, self._bring = get_object, bring
        self._lock = threading.Lock()
        self._files: dict[str, PlacedFile | Finished | None] = {}
        """None for what is being opened."""
        self._unwanted: set[tuple[str, int]] = set()
        self._closed: set[str] = set()
        """What was closed before it was opened."""

    def open(self, key: str, spec: dict[str, Any]) -> Answer:
        """Take up the copy; returns its state, the coverage, a note, and the digest if known.

        States are ``open``, ``have`` (whole, from before) and ``skipped`` (whatever is there).
        """
        return answer_of(lambda: self._open(key, spec))

    def land(self, key: str, start: int, stop: int, ref: list[Any], limit: float) -> Answer:
        """Take the bytes out of the object store and put them at their place; returns seconds.

        The reference comes within a list, so that Ray hands it on and does not wait for it.
        A LookupError's answer has the class ``LookupError``.
        """
        return answer_of(lambda: self._land(key, start, stop, ref[0], limit))

    def land_all(self, key: str, items: list[tuple[int, int, Any]], limit: float) -> list[Answer]:
        """The same for several, in ``limit`` seconds all together: an answer for each ``(start,
        stop, ref)``. What there was no time for is LATE, what did not come MISSING."""
        with contextlib.suppress(Exception):  # each is asked for below, and told of there
            self._bring([ref for _, _, ref in items])
        answers: list[Answer] = []
        until = time.monotonic() + limit
        for start, stop, ref in items:
            left = until - time.monotonic()
            answer = self.land(key, start, stop, [ref], max(0.0, left))
            is_late = left < limit / 2 and answer[0] == (LOST, MISSING, "")
            answers.append(((LOST, LATE, ""), None) if is_late else answer)
        return answers

    def forget(self, key: str, starts: list[int]) -> None:
        """Wait for these bytes no longer."""
        with self._lock:
            self._unwanted.update((key, start) for start in starts)

    def read(self, key: str, start: int, stop: int) -> tuple[Answer, Any]:
        """What happened, and these bytes of the copy."""
        data: list[Any] = []

        def read() -> None:
            file = self._files.get(key)
            if file is None:
                raise LookupError("the file is not open on this node")
            data.append(file.read(start, stop))

        answer = answer_of(read)
        return answer, data[0] if data else None

    def digest(self, key: str) -> Answer:
        """The digest (hex) of the whole copy, once that is safe on the disk."""
        return answer_of(lambda: self._placed(key).digest(lambda: self._must_be_open(key)))

    def publish(self, key: str) -> Answer:
        """Give the copy its name."""
        return answer_of(lambda: self._placed(key).publish())

    def drop(self, key: str) -> Answer:
        """Remove the copy, which is wrong, and let go of it."""
        dropped = answer_of(lambda: self._placed(key).drop())
        closed = self.close(key)
        return dropped if dropped[0] is not None else closed

    def close(self, key: str) -> Answer:
        """Let go of the copy; what there is stays for the next run."""
        with self._lock:
            if key not in self._files:
                self._closed.add(key)
            file = self._files.pop(key, None)
            self._unwanted = {mark for mark in self._unwanted if mark[0] != key}
        return answer_of(lambda: file.close() if file is not None else None)

    def close_all(self) -> None:
        """Let go of all of them."""
        with self._lock:
            keys = list(self._files)
        for key in keys:
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
        with self._lock:
            if key in self._closed or key in self._files:
                was_closed = key in self._closed
                self._closed.discard(key)
                raise CancelledError("the file was closed" if was_closed else "it is open already")
            self._files[key] = None
        try:
            file, found = self._take_up(key, spec)
        except BaseException:
            with self._lock:
                self._files.pop(key, None)
            raise
        with self._lock:
            is_wanted = key in self._files
            if is_wanted and file is not None:
                self._files[key] = file
            elif is_wanted:
                del self._files[key]
        if not is_wanted and file is not None:
            file.close()
            raise CancelledError("the file was closed")
        return found

    def _take_up(
        self, key: str, spec: dict[str, Any]
    ) -> tuple[PlacedFile | Finished | None, tuple[str, str, str, str]]:
        """The copy, as it is or as it is begun, and what ``open`` says of it."""
        target = Path(spec["target"])
        proof = Proof(Checksum.parse(spec["proof"][0]), spec["proof"][1]) if spec["proof"] else None
        remote, identity = _remote_of(spec), Identity.parse(spec["identity"])
        try:
            if target.exists() or target.is_symlink():
                known, why = find(
                    target,
                    remote,
                    identity,
                    proof=proof,
                    algorithm=spec["algorithm"],
                    verify=spec["verify"],
                    check=lambda: self._must_be_open(key),
                )
                if known is not None:
                    digest = known.record.digests.get(spec["algorithm"] or "", "")
                    return known, ("have", str(Coverage([(0, remote.size or 0)])), "", digest)
                if _is_skipped(target, spec, why):
                    digest = ""
                    if proof is not None and spec["compare"]:
                        verify_target(target, proof, lambda: self._must_be_open(key))
                        digest = proof.checksum.hex
                    return None, ("skipped", "", "", digest)
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
        return file, ("open", str(file.written), file.note, "")

    def _land(self, key: str, start: int, stop: int, ref: Any, limit: float) -> float:
        try:
            return self._land_wanted(key, start, stop, ref, limit)
        finally:
            with self._lock:  # of this landing alone: the same bytes may come another way
                self._unwanted.discard((key, start))

    def _is_wanted(self, key: str, start: int) -> bool:
        with self._lock:
            return key in self._files and (key, start) not in self._unwanted

    def _land_wanted(self, key: str, start: int, stop: int, ref: Any, limit: float) -> float:
        began = time.monotonic()
        file = self._placed(key)
        data: memoryview | None = None
        while data is None and self._is_wanted(key, start):
            data = self._get_object(ref, LOOK_SECONDS)
            if time.monotonic() - began > limit:
                break
        if data is None:
            is_wanted = self._is_wanted(key, start)
            raise LookupError(MISSING if is_wanted else "the bytes are not wanted any more")
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


def _is_skipped(target: Path, spec: dict[str, Any], why: str) -> bool:
    """Whether what is there stays; ``why`` it is not the file. Raises TargetError, OutputError."""
    if target.is_dir():
        raise OutputError(f"{target} is a directory", "give the file's path with -o")
    if target.exists() and not target.is_file():
        raise OutputError(f"{target} is no regular file", "save elsewhere with -o")
    if spec["skip_existing"] and target.exists():
        return True
    if not spec["overwrite"]:
        raise TargetError(
            f"{target} exists already" + (f", and {why}" if why else ""),
            "--overwrite replaces it, --skip-existing leaves it, or save elsewhere with -o",
        )
    return False


def answer_of(call: Callable[[], Any]) -> Answer:
    """What a call returns, or raises, as plain data."""
    try:
        return None, call()
    except RaydlError as error:
        return (type(error).__name__, error.message, error.hint), None
    except Exception as error:
        # Where the node ends around a worker, Ray's calls say that its pipes are broken.
        if type(error) is LookupError or (type(error) is OSError and "Broken pipe" in str(error)):
            return (LOST, str(error), ""), None
        # A bug must not keep the driver waiting; a KeyError is one, and nothing to try again.
        return (type(error).__name__, f"unexpected {type(error).__name__}: {error}", ""), None
