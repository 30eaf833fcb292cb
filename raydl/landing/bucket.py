"""``-o s3://bucket/key``: a file that goes into a bucket from the nodes that fetch it.

The head begins an upload, signs one URL for each part of it, and finishes it; whoever has most of
a part's bytes sends them. So nobody but the head needs credentials, and no byte passes through it.
Nothing is visible at the key before the end.

**Digests.** The CRC-32 of each part is signed with its URL, so the service refuses what came
otherwise. Where it makes the object's own CRC of those, it gets ours of the whole to compare, made
from the parts'. Elsewhere each part goes with its Content-MD5. A digest that the file must have is
computed before the upload is finished, as the bytes come: here, if they are here, else by one
node, to which every byte crosses the cluster's network once more (``hashing``); a CRC-32 costs
nothing. The bytes of an earlier run cannot be read before the upload is finished. So with a digest
that was asked for everything is sent anew, and one that only the origin states is not compared
then.

**Going on.** What the service lists as the parts of an upload is there. Which upload is ours, and
of which file, says a note on this machine (``unfinished``). From another machine a download starts
over, and tells of what is left.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import replace

from raydl.landing import s3
from raydl.landing.blocks import Blocks, grid_for
from raydl.landing.desk import Desk, Means
from raydl.landing.hands import HereHand, TeamHand
from raydl.landing.hashing import Hashing, HashLost
from raydl.landing.s3 import CRC, Bucket, Place, RefusedError, Sent
from raydl.landing.sending import Into, Sending
from raydl.landing.unfinished import Note, Unfinished
from raydl.model.coverage import Coverage
from raydl.model.crc import joined_crc32
from raydl.model.digests import Proof, new_hash
from raydl.model.errors import ChecksumError, RaydlError, TargetError, UsageError
from raydl.model.events import Notice, Resumed, Verifying
from raydl.model.report import Report
from raydl.model.units import counted
from raydl.model.weburl import redact
from raydl.origin.proof import is_asked_for
from raydl.output.journal import Journal
from raydl.workers.actor import ActorTeam
from raydl.workers.protocol import HERE

FRESH_STARTS = 2
"""How often everything is sent anew, because the worker that computed the digest was lost."""


def check(target: str) -> None:
    """Raise UsageError for what names no object, and where boto3 is not there."""
    Place.parse(target, "name")
    s3.must_be_there()


def run(means: Means, target: str) -> Report:
    """Download into ``s3://bucket/key``; ``s3://bucket/prefix/`` takes the file's name.

    With a cluster only its workers fetch. Raises RaydlError; what was sent until then stays in an
    unfinished upload, from which the same command goes on.
    """
    remote = means.found.remote
    place = Place.parse(target, remote.name)
    if remote.size is None or not remote.ranges:
        why = remote.why_no_ranges or "the origin does not say how large the file is"
        raise UsageError(
            f"{place} would be sent from many nodes, and that takes byte ranges: {why}",
            "download it with -o FILE, and copy that",
        )
    return _Download(means, s3.connect(place, means.options.timeout)).run()


class _Download:
    """One file on its way to one object."""

    def __init__(self, means: Means, bucket: Bucket) -> None:
        self._means, self._bucket, self._place = means, bucket, bucket.place
        self._proof = means.proof
        size = means.found.remote.size
        assert size is not None
        self._size = size
        self._report = Report(
            redact(means.found.remote.url), str(bucket.place), size, resumed=0, fetched=0
        )
        self._began = time.monotonic()

    def run(self) -> Report:
        """All of it."""
        options = self._means.options
        there = None if options.overwrite else self._bucket.head()
        if there is not None and options.skip_existing:
            if is_asked_for(options):
                self._say(f"what {self._place} has is not compared with a digest")
            return replace(self._report, size=there.size, skipped=True)
        if there is not None:
            raise TargetError(
                f"{self._place} exists already",
                "--overwrite replaces it, --skip-existing leaves it, or save elsewhere with -o",
            )
        if not self._size:
            return self._empty()
        with contextlib.closing(Note(self._place, self._bucket.endpoint)) as note:
            for _ in range(FRESH_STARTS):
                try:
                    return self._attempt(note)
                except HashLost as error:
                    self._say(f"{error.message}: starting over")
                    self._give_up(note)
            return self._attempt(note)

    def _say(self, text: str) -> None:
        self._means.emit(Notice(text))

    def _empty(self) -> Report:
        digests = {}
        if self._proof is not None:
            digest = new_hash(self._proof.checksum.algorithm).hexdigest()
            self._proof.verify(digest, str(self._place))
            digests = {self._proof.checksum.algorithm: digest}
        media_type = self._means.found.remote.media_type
        self._bucket.put_empty(media_type, only_new=not self._means.options.overwrite)
        return self._finished(digests)

    def _finished(self, digests: dict[str, str]) -> Report:
        where = self._proof.where if self._proof is not None and digests else ""
        seconds = time.monotonic() - self._began
        return replace(self._report, digests=digests, proof=where, seconds=seconds)

    def _attempt(self, note: Note) -> Report:
        self._proof = self._means.proof
        unfinished, sent = self._take_up(note)
        blocks = Blocks(self._size, unfinished.grid)
        try:
            digests = self._send(unfinished, blocks, sent)
            self._complete(unfinished, sent)
        except ChecksumError:
            self._give_up(note)
            raise
        except HashLost:
            raise
        except BaseException as error:
            self._tell_what_is_left(note, blocks, sent, error)
            raise
        note.clear()
        return self._finished(digests)

    # --- what an earlier run left ---

    def _take_up(self, note: Note) -> tuple[Unfinished, dict[int, Sent]]:
        """The upload to go on with, and what the service has of it; a new one, if there is none."""
        old = note.read()
        others = [u for u in self._bucket.uploads() if old is None or u != old.upload]
        if others:
            self._say(
                f"{counted(len(others), 'unfinished upload')} to {self._place} began elsewhere: "
                "left as they are, and paid for until they are aborted"
            )
        sent = self._go_on_from(old) if old is not None else None
        if old is not None and sent is not None:
            return old, sent
        if old is not None:
            self._give_up(note)
        return self._begin(note), {}

    def _begin(self, note: Note) -> Unfinished:
        remote, options = self._means.found.remote, self._means.options
        grid = grid_for(self._size, options.max_memory)
        upload, algorithm = self._bucket.begin(remote.media_type)
        fresh = Unfinished(upload, grid, algorithm, Journal.of(remote, self._means.found.identity))
        try:
            note.write(fresh)
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
        proof = self._proof
        if proof is not None and not _follows(proof, old, sent):
            algorithm = proof.checksum.algorithm
            if is_asked_for(options):
                self._say(
                    f"starting over: the {algorithm} needs every byte, and those that the bucket "
                    "has cannot be read before the upload is finished"
                )
                return None
            self._say(f"the {algorithm} that the origin states is not compared: parts were kept")
            self._proof = None
        kept = sum(part.size for part in sent.values())
        said = f"the bucket has {counted(len(sent), 'part')} of {blocks.count}"
        self._means.emit(Resumed(kept, said))
        return sent

    def _objection(self, old: Unfinished) -> str:
        found, options = self._means.found, self._means.options
        another = old.journal.another_url(found.remote, found.identity, False)
        if another and not options.overwrite:
            raise TargetError(
                f"an unfinished upload to {self._place} is of another URL, {another}",
                "--no-resume aborts it and starts over",
            )
        return (
            f"it is of another URL, {another}"
            if another
            else old.journal.objection(found.remote, False)
        )

    def _give_up(self, note: Note) -> None:
        """Abort the upload that is noted."""
        if (noted := note.read()) is not None:
            self._bucket.abort(noted.upload)
        note.clear()

    def _tell_what_is_left(
        self, note: Note, blocks: Blocks, sent: dict[int, Sent], error: BaseException
    ) -> None:
        control = self._means.control
        control.kept = sum(part.size for part in sent.values())
        with contextlib.suppress(Exception):
            if sent:
                self._say(
                    f"the bucket has {counted(len(sent), 'part')} of {blocks.count}, as an "
                    "unfinished upload: the same command goes on, --no-resume aborts it first"
                )
            elif isinstance(error, Exception):
                self._give_up(note)

    # --- the transfer ---

    def _send(
        self, unfinished: Unfinished, blocks: Blocks, sent: dict[int, Sent]
    ) -> dict[str, str]:
        """Bring the rest into the upload; the digests that were compared."""
        kept = Coverage(blocks.span(number - 1) for number in sent)
        self._report = replace(self._report, resumed=kept.size, fetched=self._size - kept.size)
        digests = {}
        if kept.size < self._size:
            digests = self._transfer(unfinished, blocks, sent, kept)
        self._means.emit(Verifying())
        crc = crc_of(sent)
        if self._proof is not None and not digests and crc is not None:
            digest = f"{crc:08x}"
            self._proof.verify(digest, str(self._place))
            digests = {self._proof.checksum.algorithm: digest}
        return digests

    def _transfer(
        self, unfinished: Unfinished, blocks: Blocks, sent: dict[int, Sent], kept: Coverage
    ) -> dict[str, str]:
        means, options = self._means, self._means.options

        def joined(team: ActorTeam) -> None:
            if options.fetch_here or team.node != HERE:
                sending.hands[team.node] = TeamHand(team)

        def left(node: str, reason: str) -> None:
            sending.left(node, reason)
            if hashing is not None:
                hashing.left(node, reason)

        desk = Desk(means.control, joined, left)
        hashing = None
        if self._proof is not None and not _is_crc(self._proof, unfinished):
            hashing = Hashing(desk, self._proof, self._size, lambda: sending.idlest())
        into = Into(
            self._bucket,
            unfinished.upload,
            unfinished.algorithm,
            s3.certificates(),
            options.retries,
            options.timeout,
        )
        sending = Sending(desk, blocks, into, sent, hashing, means.emit)
        with contextlib.ExitStack() as stack:
            if not means.is_alone:
                stack.enter_context(means.fleet(desk.hear))
            stack.callback(blocks.drop)
            if means.is_alone:
                sending.hands[HERE] = stack.enter_context(contextlib.closing(HereHand()))
            placing = stack.enter_context(means.fetch(sending, kept))
            began = time.monotonic()
            means.control.watch(lambda: desk.post(_nothing), placing.hold)
            placing.begin()
            desk.run(sending.turn)
            self._report = replace(
                self._report,
                transfer_seconds=time.monotonic() - began,
                parts=placing.parts,
                retries=placing.meter.retried,
                wasted=placing.meter.wasted,
                limit=placing.limit,
                nodes=placing.meter.shares(),
            )
            return {} if hashing is None else hashing.verify(str(self._place))

    def _complete(self, unfinished: Unfinished, sent: dict[int, Sent]) -> None:
        """Make the object of its parts. Where the answer to a first try was lost, a second one
        finds its work done."""
        crc = crc_of(sent) if unfinished.algorithm == CRC else None
        only_new = not self._means.options.overwrite
        try:
            try:
                self._bucket.complete(unfinished.upload, sent, crc, only_new)
            except RefusedError as error:
                # A PUT that was given up arrived late. It is signed for the same bytes, but may
                # have got another ETag, where these are no digests.
                listed = self._bucket.parts(unfinished.upload) or {}
                if error.code != "InvalidPart" or not _same_bytes(sent, listed):
                    raise
                self._bucket.complete(unfinished.upload, listed, crc, only_new)
        except (TargetError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code == "BadDigest":
                raise ChecksumError(
                    f"{self._place}: the service has other bytes than were sent",
                    "nothing is there now; run it again",
                ) from None
            there = self._bucket.head()
            if there is None or there.size != self._size or there.etag != etag_of(sent):
                raise
            # If it was somebody else who made the same object, ours is left, and would be paid for.
            with contextlib.suppress(RaydlError):
                self._bucket.abort(unfinished.upload)


def _nothing() -> None:
    """Wakes a desk."""


def _fits(blocks: Blocks, number: int, part: Sent) -> bool:
    if not 1 <= number <= blocks.count:
        return False
    start, stop = blocks.span(number - 1)
    return part.size == stop - start


def _is_crc(proof: Proof, unfinished: Unfinished) -> bool:
    """Whether the parts' digests make the one that the file must have."""
    return proof.checksum.algorithm == CRC == unfinished.algorithm


def _follows(proof: Proof, unfinished: Unfinished, sent: Mapping[int, Sent]) -> bool:
    """The same, with those that the service has."""
    return _is_crc(proof, unfinished) and crc_of(sent) is not None


def _same_bytes(ours: Mapping[int, Sent], theirs: Mapping[int, Sent]) -> bool:
    """Whether the service lists the parts that were sent, as far as that can be told."""
    return ours.keys() == theirs.keys() and all(
        part.size == theirs[n].size and theirs[n].crc in (None, part.crc)
        for n, part in ours.items()
    )


def crc_of(sent: Mapping[int, Sent]) -> int | None:
    """The CRC-32 of all parts together, None where one's is not known."""
    crc = 0
    for _, part in sorted(sent.items()):
        if part.crc is None:
            return None
        crc = joined_crc32(crc, part.crc, part.size)
    return crc


def etag_of(sent: Mapping[int, Sent]) -> str:
    """What services make of the parts' ETags, where these are MD5s; else empty."""
    digest = hashlib.md5(usedforsecurity=False)
    for _, part in sorted(sent.items()):
        etag = part.etag.strip('"')
        if not re.fullmatch("[0-9a-f]{32}", etag):
            return ""
        digest.update(bytes.fromhex(etag))
    return f'"{digest.hexdigest()}-{len(sent)}"'
