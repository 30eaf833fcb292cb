"""A file in a directory that all nodes see: each writes there what it fetched.

This process keeps the account: which bytes are safe on the disk, what the journal says, what was
read back. No byte passes it but those that its own threads fetched, and those of nodes that do not
see the directory.
"""

from __future__ import annotations

import contextlib
import os
import time
from functools import partial
from pathlib import Path

from raydl.landing.desk import Desk, Means
from raydl.landing.meeting import Meeting
from raydl.landing.readback import Readback
from raydl.landing.reader import Reader
from raydl.landing.rounds import Fetched, Round, shares
from raydl.landing.writer import STUCK, Item, NodeHand, OwnHand, Writer
from raydl.model.coverage import Coverage
from raydl.model.errors import ChecksumError, DiskError, OutputError, RaydlError
from raydl.model.events import Notice, Resumed, Verifying
from raydl.model.report import Report
from raydl.model.weburl import redact
from raydl.output.oserrors import output_error
from raydl.output.owner import nonce_of
from raydl.output.sharedfile import SharedFile
from raydl.workers.actor import ActorTeam
from raydl.workers.nodefiles import LOST, Answer
from raydl.workers.protocol import ConnectFailed, Disconnected, Message
from raydl.workers.sharedfiles import FAULT, Piece

SETTLE_SECONDS = 1.0


def run(means: Means, path: Path, mode_of: Path | None = None) -> Report:
    """Fetch the file to ``path``, which all nodes are to see; see ``PartFile`` for ``mode_of``.

    Raises RaydlError.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - as it is, without following links
    remote, options = means.found.remote, means.options
    file = SharedFile(
        path, remote, means.found.identity,
        resume=options.resume, overwrite=options.overwrite, proven=means.proof is not None,
        mode_of=mode_of,
    )  # fmt: skip
    if file.note:
        means.emit(Resumed(file.written.size, file.note))
    try:
        with contextlib.closing(file), contextlib.closing(_Shared(means, file)) as shared:
            return shared.run()
    finally:
        means.control.kept = file.left


class _Shared:
    """One download of a file that several machines write."""

    def __init__(self, means: Means, file: SharedFile) -> None:
        self._means, self._file = means, file
        self._began = time.monotonic()
        self._kept = file.written.size
        self._safe = Coverage(file.written)
        self._desk = Desk(means.control, self._joined, self._left)
        self._key = nonce_of(file.owner)
        self._meeting = Meeting(file.meeting_place)
        self._own_hand = OwnHand(self._key, self._desk.post)
        self._own = self._writer(self._own_hand)
        self._writers: dict[str, Writer] = {}
        self._pulling: dict[Item, str] = {}
        self._left_to_take = self._wrong_bytes = 0
        self._is_fetching = False
        algorithm = None if means.proof is None else means.proof.checksum.algorithm
        self._readback = Readback(file.size, algorithm is not None)
        self._reader = Reader(self._readback, algorithm, self._wrong, self._unreadable)
        self._rounds: list[Fetched] = []

    def run(self) -> Report:
        """All of it."""
        means, file = self._means, self._file
        self._own_hand.call("open", str(file.part_path), done=self._opened)
        cluster = contextlib.nullcontext() if means.is_alone else means.fleet(self._hear)
        with cluster:
            try:
                while not self._readback.is_through:
                    if self._safe.size < file.size:
                        self._fetch()
                    means.emit(Verifying())
                    self._desk.run(self._compare)
            finally:
                self._settle()
        digests, rounds = self._verify(), self._rounds
        file.publish()
        return Report(
            url=redact(means.found.remote.url),
            path=str(file.target),
            size=file.size,
            fetched=file.size - self._kept,
            resumed=self._kept,
            seconds=time.monotonic() - self._began,
            digests=digests,
            proof="" if means.proof is None else means.proof.where,
            transfer_seconds=sum(round.seconds for round in rounds),
            parts=sum(round.parts for round in rounds),
            retries=sum(round.retries for round in rounds),
            wasted=sum(round.wasted for round in rounds) + self._wrong_bytes,
            limit=rounds[0].limit if rounds else "",
            nodes=shares(rounds),
        )

    def close(self) -> None:
        """Write nothing more, and leave nothing beside the file."""
        self._meeting.close()
        self._own_hand.close()
        for writer in (self._own, *self._writers.values()):
            for item in writer.take_all():
                item.payload.release()

    def _settle(self) -> None:
        """Bring to the disk what is written, and let go of it; wait for that for a second."""
        deadline = self._desk.clock() + SETTLE_SECONDS
        writers = [self._own, *self._writers.values()]
        while self._desk.clock() < deadline and not all(w.is_settled for w in writers):
            with contextlib.suppress(RaydlError):  # that of the download is told
                for writer in writers:
                    writer.look(self._desk.clock(), True)
                self._desk.take()
        for writer in self._writers.values():
            writer.hand.call("close", done=lambda _: None)

    # What the scheduler brings

    def _fetch(self) -> None:
        """Let the scheduler fetch what is missing, until all of it is safe."""
        self._left_to_take = self._file.size - self._safe.size
        self._is_fetching = True
        with self._means.fetch(Round(self._desk, self._take, self._end), self._safe) as placing:
            self._means.control.watch(lambda: None, placing.hold)
            began = time.monotonic()
            placing.begin()
            self._desk.run(lambda: not self._turn())
            self._rounds.append(Fetched.of(placing, time.monotonic() - began))

    def _end(self) -> None:
        self._is_fetching = False

    def _take(self, item: Item, node: str) -> None:
        self._left_to_take -= item.part.size
        writer = self._writers.get(node)
        if item.payload.here:
            self._own.write(item)
        elif writer is None or writer.is_blind:
            self._pull(item, node)
        else:
            writer.write(item)

    def _pull(self, item: Item, node: str) -> None:
        """The old way: the bytes come here."""
        self._pulling[item] = node
        item.payload.pull(lambda problem: self._desk.post(partial(self._pulled, item, problem)))

    def _pulled(self, item: Item, problem: str) -> None:
        if self._pulling.pop(item, None) is None:
            return
        if problem:
            self._lose([item], problem)
        else:
            self._own.write(item)

    def _lose(self, items: list[Item], reason: str) -> None:
        for item in items:
            self._left_to_take += item.part.size
            item.done(reason)

    def _turn(self) -> bool:
        """What is due; whether there is still something to fetch."""
        self._file.check()
        now, is_last = self._desk.clock(), not self._left_to_take
        for writer in (self._own, *list(self._writers.values())):
            writer.look(now, is_last and writer.is_idle)
            # One that is blind by now may have begun something before.
            is_at_it = writer.is_open or not writer.is_blind
            if writer is not self._own and is_at_it and writer.is_stuck(now):
                self._failed(writer, writer.take_all(), STUCK)
        self._read_on(now)
        return self._is_fetching

    def _writer(self, hand: NodeHand | OwnHand) -> Writer:
        return Writer(hand, self._is_safe, self._failed, self._desk.clock)

    def _is_safe(self, item: Item) -> None:
        start, stop = item.part.start, item.part.stop
        self._safe.add(start, stop)
        self._file.note_written(start, stop)
        self._readback.wrote(item.part, item.crc)
        item.done("")

    def _failed(self, writer: Writer, items: list[Item], error: tuple[str, str, str]) -> None:
        kind, message, _ = error
        if kind == LOST:
            self._lose(items, message)
        elif kind == FAULT and writer is not self._own:
            self._blind(writer, f"cannot write {self._file.part_path}: {message}")
            for item in items:
                self._pull(item, writer.hand.name)
        else:
            raise _error_of(self._file.part_path, error)

    def _unreadable(self, writer: Writer, why: str) -> None:
        what = f"cannot read {self._file.part_path}: {why}"
        if writer is self._own:
            raise OutputError(what, "run the same command again")
        self._blind(writer, what)

    def _blind(self, writer: Writer, why: str) -> None:
        """That node's bytes take the old way."""
        if writer.is_blind:
            return
        writer.is_blind = True
        self._reader.lose(writer)
        node = writer.hand.name
        self._means.emit(Notice(f"{node} {why}: what it fetches is written by this machine"))
        if not writer.is_open:
            self._meeting.leave(node)
            for item in writer.take_all():
                self._pull(item, node)

    # Who is there

    def _hear(self, message: Message) -> None:
        if isinstance(message, ConnectFailed | Disconnected):
            # Whether the download can do without is the scheduler's to say.
            self._desk.post(self._all_left)
        else:
            self._desk.hear(message)

    def _all_left(self) -> None:
        for node in list(self._writers):
            self._left(node, "the cluster is gone")

    def _joined(self, team: ActorTeam) -> None:
        self._left(team.node, "it has another worker")
        writer = self._writer(NodeHand(team, self._key, self._desk.post))
        self._writers[team.node] = writer
        try:
            invitation = self._meeting.invite(team.node)
        except OSError as error:
            raise output_error(error, self._meeting.path) from None
        path, place = (
            self._seen_by(team.node, p) for p in (self._file.part_path, self._meeting.path)
        )
        writer.hand.call("meet", path, place, *invitation, done=partial(self._met, writer))

    def _seen_by(self, node: str, path: Path) -> str:  # noqa: ARG002
        """Where that node is to look for it."""
        return str(path)

    def _met(self, writer: Writer, answer: Answer) -> None:
        node = writer.hand.name
        if self._writers.get(node) is not writer or writer.is_blind:
            return
        error, _ = answer
        if error is not None or not self._meeting.has_come(node):
            why = error[1] if error is not None else "it writes elsewhere"
            self._blind(writer, f"does not see {self._file.target.parent} ({why})")
            return
        self._meeting.leave(node)
        writer.open()

    def _left(self, node: str, reason: str) -> None:
        writer = self._writers.pop(node, None)
        pulled = [item for item, where in self._pulling.items() if where == node]
        for item in pulled:
            del self._pulling[item]
        if writer is not None:
            self._meeting.leave(node)
            self._reader.lose(writer)
            pulled += writer.take_all()
        self._lose(pulled, reason)

    def _opened(self, answer: Answer) -> None:
        if answer[0] is not None:
            raise _error_of(self._file.part_path, answer[0])
        self._own.open()

    # What is on the disk

    def _compare(self) -> bool:
        """Read on; whether all is right, or something has to be fetched again."""
        self._file.check()
        self._read_on(self._desk.clock())
        return self._readback.is_through or self._safe.size < self._file.size

    def _read_on(self, now: float) -> None:
        seeing = [w for w in self._writers.values() if w.is_open and not w.is_blind]
        if not seeing and (self._means.is_alone or not self._is_fetching):
            seeing = [self._own]
        self._reader.look(seeing, self._safe, now, is_last=not self._is_fetching)

    def _wrong(self, piece: Piece) -> None:
        start, stop, _ = piece
        self._safe = self._safe.without(start, stop)
        self._file.note_wrong(start, stop)
        self._wrong_bytes += stop - start
        what = f"bytes {start:,} to {stop - 1:,} of {self._file.part_path} are not what was written"
        if self._readback.wrong(piece):
            raise OutputError(f"{what}, again", "the disk or its network is broken, look at it")
        self._means.emit(Notice(f"{what} there: they are fetched again"))

    def _verify(self) -> dict[str, str]:
        """Hold the digest against the proof. Raises ChecksumError."""
        proof, file = self._means.proof, self._file
        if proof is None:
            return {}
        try:
            proof.verify(self._reader.digest, str(file.target))
        except ChecksumError as error:
            if self._means.options.keep_bad or proof is self._means.found.remote.digest:
                error.hint = f"{error.hint}; the bytes are in {file.set_aside()}"
            else:
                file.drop()
                error.hint = f"{error.hint}; the bytes were discarded, --keep-bad keeps them"
            raise
        return {proof.checksum.algorithm: self._reader.digest}


def _error_of(path: Path, error: tuple[str, str, str]) -> OutputError:
    kind, message, hint = error
    if kind == FAULT:
        return OutputError(f"cannot write {path}: {message}", "run the same command again")
    return DiskError(message, hint) if kind == DiskError.__name__ else OutputError(message, hint)
