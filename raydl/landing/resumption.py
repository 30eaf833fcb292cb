"""The upload that a download into a bucket goes on with, or begins."""

from __future__ import annotations

from collections.abc import Mapping

from raydl.landing.blocks import Blocks, grid_for
from raydl.landing.desk import Means
from raydl.landing.s3 import CRC, Bucket, Sent
from raydl.landing.unfinished import Note, Unfinished
from raydl.model.crc import joined_crc32
from raydl.model.digests import Proof
from raydl.model.errors import RaydlError, TargetError
from raydl.model.events import Notice, Resumed
from raydl.model.units import counted
from raydl.origin.proof import is_asked_for
from raydl.output.journal import Journal


class Resumption:
    """Finds out whether what an earlier run left can be gone on with.

    ``proof`` is the digest to compare: None where bytes are kept that it would need, and nobody
    but the origin asks for it.
    """

    def __init__(self, means: Means, bucket: Bucket, note: Note) -> None:
        self._means, self._bucket, self._note = means, bucket, note
        self._size = means.found.remote.size or 0
        self.proof = means.proof

    def _say(self, text: str) -> None:
        self._means.emit(Notice(text))

    def take_up(self) -> tuple[Unfinished, dict[int, Sent]]:
        """The upload to go on with, and what the service has of it; a new one, if there is none."""
        old = self._note.read()
        others = [u for u in self._bucket.uploads() if old is None or u != old.upload]
        if others:
            self._say(
                f"{counted(len(others), 'unfinished upload')} to {self._bucket.place} began "
                "elsewhere: left as they are, and paid for until they are aborted"
            )
        sent = self._go_on_from(old) if old is not None else None
        if old is not None and sent is not None:
            return old, sent
        if old is not None:
            self.give_up()
        return self._begin(), {}

    def _begin(self) -> Unfinished:
        remote, options = self._means.found.remote, self._means.options
        grid = grid_for(self._size, options.max_memory)
        upload, algorithm = self._bucket.begin(remote.media_type)
        fresh = Unfinished(upload, grid, algorithm, Journal.of(remote, self._means.found.identity))
        try:
            self._note.write(fresh)
        except RaydlError:
            self._bucket.abort(upload)
            raise
        return fresh

    def _go_on_from(self, old: Unfinished) -> dict[int, Sent] | None:
        """What can be gone on from; None where everything is to be sent anew, which is told."""
        options = self._means.options
        if not options.resume:
            return None
        why = self._objection(old)
        there = None if why else self._bucket.parts(old.upload)
        if there is None:
            self._say(f"starting over: {why or 'the bucket has the unfinished upload no more'}")
            return None
        blocks = Blocks(self._size, old.grid)
        sent = {n: part for n, part in there.items() if _fits(blocks, n, part)}
        if not sent:
            return {}
        proof = self.proof
        if proof is not None and not _follows(proof, old, sent):
            algorithm = proof.checksum.algorithm
            if is_asked_for(options):
                self._say(
                    f"starting over: the {algorithm} needs every byte, and those that the bucket "
                    "has cannot be read before the upload is finished"
                )
                return None
            self._say(f"the {algorithm} that the origin states is not compared: parts were kept")
            self.proof = None
        kept = sum(part.size for part in sent.values())
        said = f"the bucket has {counted(len(sent), 'part')} of {blocks.count}"
        self._means.emit(Resumed(kept, said))
        return sent

    def _objection(self, old: Unfinished) -> str:
        found, options = self._means.found, self._means.options
        another = old.journal.another_url(found.remote, found.identity, False)
        if another and not options.overwrite:
            raise TargetError(
                f"an unfinished upload to {self._bucket.place} is of another URL, {another}",
                "--no-resume aborts it and starts over",
            )
        return (
            f"it is of another URL, {another}"
            if another
            else old.journal.objection(found.remote, found.identity, False)
        )

    def give_up(self) -> None:
        """Abort the upload that is noted."""
        if (noted := self._note.read()) is not None:
            self._bucket.abort(noted.upload)
        self._note.clear()


def _fits(blocks: Blocks, number: int, part: Sent) -> bool:
    if not 1 <= number <= blocks.count:
        return False
    start, stop = blocks.span(number - 1)
    return part.size == stop - start


def is_crc(proof: Proof, unfinished: Unfinished) -> bool:
    """Whether the parts' digests make the one that the file must have."""
    return proof.checksum.algorithm == CRC == unfinished.algorithm


def _follows(proof: Proof, unfinished: Unfinished, sent: Mapping[int, Sent]) -> bool:
    """The same, with those that the service has."""
    return is_crc(proof, unfinished) and crc_of(sent) is not None


def crc_of(sent: Mapping[int, Sent]) -> int | None:
    """The CRC-32 of all parts together, None where one's is not known."""
    crc = 0
    for _, part in sorted(sent.items()):
        if part.crc is None:
            return None
        crc = joined_crc32(crc, part.crc, part.size)
    return crc
