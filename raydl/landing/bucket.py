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
from raydl.landing.blocks import Blocks
from raydl.landing.desk import Desk, Means
from raydl.landing.hands import HereHand, TeamHand
from raydl.landing.hashing import Hashing, HashLost
from raydl.landing.resumption import Resumption, crc_of, is_crc
from raydl.landing.s3 import CRC, Bucket, Found, Place, RefusedError, Sent
from raydl.landing.sending import Into, Sending
from raydl.landing.unfinished import Made, Note, Unfinished
from raydl.model.coverage import Coverage
from raydl.model.digests import new_hash
from raydl.model.errors import (
    ChecksumError,
    RangesIgnoredError,
    RaydlError,
    TargetError,
)
from raydl.model.events import Notice, Verifying
from raydl.model.report import Report
from raydl.model.units import counted
from raydl.model.weburl import redact
from raydl.origin.proof import is_asked_for
from raydl.origin.upload import ANYTHING
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
        raise RangesIgnoredError(
            f"{place} would be sent from many nodes, and that takes byte ranges: {why}",
            "download it with -o FILE, and copy that",
        )
    return _Download(means, s3.connect(place, means.options.timeout)).run()


class _Download:
    """One file on its way to one object."""

    def __init__(self, means: Means, bucket: Bucket) -> None:
        self._means, self._bucket, self._place = means, bucket, bucket.place
        self._proof = means.proof
        self._claim = means.claim
        self._replaces = ANYTHING if means.options.overwrite else means.claim.replaces
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
        there = None if self._replaces == ANYTHING else self._bucket.head()
        is_other = there is not None and there.etag != self._replaces
        if is_other and (report := self._made_before()) is not None:
            return report
        if there is not None and options.skip_existing:
            if is_asked_for(options):
                self._say(f"what {self._place} has is not compared with a digest")
            return replace(self._report, size=there.size, skipped=True)
        may_be_it = self._claim.may_be_there and there is not None and there.size == self._size
        if is_other and not may_be_it:
            raise TargetError(
                f"{self._place} exists already",
                "--overwrite replaces it, --skip-existing leaves it, or save elsewhere with -o",
            )
        if not self._size:
            return self._empty(there if may_be_it else None)
        with contextlib.closing(Note(self._place, self._bucket.endpoint)) as note:
            for _ in range(FRESH_STARTS):
                try:
                    return self._attempt(note)
                except HashLost as error:
                    self._say(f"{error.message}: starting over")
                    Resumption(self._means, self._bucket, note).give_up()
            return self._attempt(note)

    def _say(self, text: str) -> None:
        self._means.emit(Notice(text))

    def _empty(self, there: Found | None) -> Report:
        digests = {}
        if self._proof is not None:
            digest = new_hash(self._proof.checksum.algorithm).hexdigest()
            self._proof.verify(digest, str(self._place))
            digests = {self._proof.checksum.algorithm: digest}
        media_type = self._means.found.remote.media_type
        if there is None:
            self._claim.made = self._bucket.put_empty(media_type, self._replaces)
        else:
            self._claim.made = there.etag
        return self._finished(digests)

    def _made_before(self) -> Report | None:
        """A report, where what is there is what an earlier run was about to make of its upload."""
        found = self._means.found
        with contextlib.closing(Note(self._place, self._bucket.endpoint)) as note:
            old = note.read()
            if old is None or old.made is None or not self._is_proven_by(old.made.digests):
                return None
            journal, digests = old.journal, old.made.digests
            is_other = journal.another_url(found.remote, found.identity, False)
            there = None if is_other else self._bucket.head(crc=True)
            if there is None or there.size != self._size or not old.made.is_like(there):
                return None
            if journal.objection(found.remote, found.identity, False):
                return None
            note.clear()
        self._say(f"an earlier run has made {self._place}, and was ended before it knew")
        self._claim.made = there.etag
        self._report = replace(self._report, resumed=self._size)
        return self._finished(digests)

    def _is_proven_by(self, digests: Mapping[str, str]) -> bool:
        """Whether these include the one that was asked for. Raises ChecksumError."""
        if self._proof is None or not is_asked_for(self._means.options):
            return True
        digest = digests.get(self._proof.checksum.algorithm)
        if digest is not None:
            self._proof.verify(digest, str(self._place))
        return digest is not None

    def _finished(self, digests: dict[str, str]) -> Report:
        where = self._proof.where if self._proof is not None and digests else ""
        seconds = time.monotonic() - self._began
        return replace(self._report, digests=digests, proof=where, seconds=seconds)

    def _attempt(self, note: Note) -> Report:
        earlier = Resumption(self._means, self._bucket, note)
        unfinished, sent = earlier.take_up()
        self._proof = earlier.proof
        blocks = Blocks(self._size, unfinished.grid)
        try:
            digests = self._send(unfinished, blocks, sent)
            self._complete(unfinished, sent, note, digests)
        except ChecksumError:
            earlier.give_up()
            raise
        except HashLost:
            raise
        except BaseException as error:
            self._tell_what_is_left(earlier, blocks, sent, error)
            raise
        note.clear()
        return self._finished(digests)

    def _tell_what_is_left(
        self, earlier: Resumption, blocks: Blocks, sent: dict[int, Sent], error: BaseException
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
                earlier.give_up()

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
        if self._proof is not None and not is_crc(self._proof, unfinished):
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

    def _complete(
        self, unfinished: Unfinished, sent: dict[int, Sent], note: Note, digests: dict[str, str]
    ) -> None:
        """Make the object of its parts. Where the answer to a first try was lost, a second one
        finds its work done, as does the next run where this one is killed meanwhile."""
        crc = crc_of(sent) if unfinished.algorithm == CRC else None
        made = Made(etag_of(sent), crc, digests)
        note.write(replace(unfinished, made=made))
        self._claim.may_be_there = True
        try:
            try:
                self._claim.made = self._bucket.complete(
                    unfinished.upload, sent, crc, self._replaces
                )
            except RefusedError as error:
                # A PUT that was given up arrived late. It is signed for the same bytes, but may
                # have got another ETag, where these are no digests.
                listed = self._bucket.parts(unfinished.upload) or {}
                if error.code != "InvalidPart" or not _same_bytes(sent, listed):
                    raise
                made = replace(made, etag=etag_of(listed))
                note.write(replace(unfinished, made=made))
                self._claim.made = self._bucket.complete(
                    unfinished.upload, listed, crc, self._replaces
                )
        except (TargetError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code == "BadDigest":
                raise ChecksumError(
                    f"{self._place}: the service has other bytes than were sent",
                    "nothing is there now; run it again",
                ) from None
            there = self._bucket.head(crc=True)
            if there is None or there.size != self._size or not made.is_like(there):
                raise
            self._claim.made = there.etag
            # If it was somebody else who made the same object, ours is left, and would be paid for.
            with contextlib.suppress(RaydlError):
                self._bucket.abort(unfinished.upload)


def _nothing() -> None:
    """Wakes a desk."""


def _same_bytes(ours: Mapping[int, Sent], theirs: Mapping[int, Sent]) -> bool:
    """Whether the service lists the parts that were sent, as far as that can be told."""
    return ours.keys() == theirs.keys() and all(
        part.size == theirs[n].size and theirs[n].crc in (None, part.crc)
        for n, part in ours.items()
    )


def etag_of(sent: Mapping[int, Sent]) -> str:
    """What services make of the parts' ETags, where these are MD5s; else empty."""
    digest = hashlib.md5(usedforsecurity=False)
    for _, part in sorted(sent.items()):
        etag = part.etag.strip('"')
        if not re.fullmatch("[0-9a-f]{32}", etag):
            return ""
        digest.update(bytes.fromhex(etag))
    return f'"{digest.hexdigest()}-{len(sent)}"'
