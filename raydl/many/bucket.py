"""Many files into a bucket: whoever fetched a small one sends it there.

What is there is asked of the bucket, what came is known by a ledger in this user's state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

from raydl.download.download import run
from raydl.download.monitoring import BUCKET
from raydl.landing import s3
from raydl.landing.s3 import Claim
from raydl.landing.s3 import Found as There
from raydl.landing.s3 import Place as Address
from raydl.landing.unfinished import state_path
from raydl.many.account import Account
from raydl.many.daemons import Daemons
from raydl.many.hands import Hand
from raydl.many.host import Task
from raydl.many.landing import Came, Here, Lost, Post, Saved, in_the_way
from raydl.many.large import Job, brought_by
from raydl.many.onelarge import checksum_of
from raydl.model.errors import RaydlError
from raydl.origin.upload import ANYTHING
from raydl.output.shelf import Shelf
from raydl.settings.options import Options
from raydl.workers.protocol import Payload
from raydl.workers.smallfiles import Brought, Wish
from raydl.workers.smallputs import mark_of

HEADS_AT_ONCE = 16


class Bucket(Here):
    """The destination: ``s3://bucket/prefix``."""

    kind = BUCKET

    def __init__(
        self, where: str, options: Options, if_changed: bool, account: Account, post: Post
    ) -> None:
        address = Address.parse(where.rstrip("/") + "/", "-")
        self._prefix = address.key.removesuffix("-")
        place = Address(address.bucket, self._prefix)
        self._bucket = s3.connect(place, options.timeout)
        self.put_ca = s3.certificates()
        self._is_new = self._bucket.is_empty()
        self._post, self._looks = post, 0
        self._threads = Daemons("raydl-head", HEADS_AT_ONCE)
        state = state_path("files", place, self._bucket.endpoint)
        shelf = Shelf(state, options.overwrite, options.skip_existing, is_disk=False)
        super().__init__(state, options, if_changed, account, post, shelf=shelf)

    def _at(self, task: Task) -> s3.Bucket:
        return self._bucket.at(self._prefix + task.path)

    @property
    def sorting(self) -> int:  # type: ignore[override]
        """See ``Landing``."""
        return self._looks

    def sort(self, tasks: list[Task], wanted: Callable[[list[Task]], None]) -> None:
        """See ``Landing``."""
        if self._is_new:
            self._want(tasks, [None] * len(tasks), wanted)
            return
        self._looks += len(tasks)
        found: list[There | RaydlError | None] = [None] * len(tasks)
        left = count(len(tasks) - 1, -1)  # its next is one step of the interpreter

        def look(number: int, task: Task) -> None:
            found[number] = self._head(task)
            if not next(left):
                self._post(looked)

        def looked() -> None:
            self._looks -= len(tasks)
            self._want(tasks, found, wanted)

        for number, task in enumerate(tasks):
            self._threads.call(partial(look, number, task))

    def _head(self, task: Task) -> There | RaydlError | None:
        try:
            return self._at(task).head()
        except RaydlError as error:
            return error
        except Exception as error:  # a bug fails this file, and keeps nobody waiting
            return RaydlError(f"unexpected {type(error).__name__}: {error}")

    def _want(
        self,
        tasks: list[Task],
        found: list[Any],
        wanted: Callable[[list[Task]], None],
    ) -> None:
        lacking = [t for t, there in zip(tasks, found, strict=True) if self._lacks(t, there)]
        self._begin(lacking, wanted)

    def _lacks(self, task: Task, there: There | RaydlError | None) -> bool:
        if isinstance(there, RaydlError):
            self._account.failed(task, there)
            return False
        if there is None:
            return True
        stamp = there.size, mark_of(there.etag)
        found = self._shelf.judge(task.place, stamp)
        if found.stamp is not None:  # it is ours, and may be replaced as long as it is
            task.replaces = there.etag or ANYTHING
        return self._is_wanted(task, found)

    def _name(self, task: Task) -> str:
        return str(self._at(task).place)

    def writes(self, hand: Hand) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``: who sends it, but that is to be looked at."""
        return False

    def wish(self, task: Task, hand: Hand) -> Wish:  # noqa: ARG002
        """See ``Landing``."""
        options, at = self._options, self._at(task)
        # A service may have no If-Match: then who sends it looks first.
        is_blind = task.replaces in ("", ANYTHING) or options.overwrite
        put = at.sign_put(), str(at.place), "" if is_blind else at.sign_head()
        wish = task.wish(None, options.origin_digest, options.overwrite, put)
        return wish._replace(replaces=ANYTHING) if options.overwrite else wish

    @property
    def has_room(self) -> bool:
        """See ``Landing``: no bytes come here."""
        return True

    def save(
        self,
        payload: Payload | None,
        came: Came,
        node: str,
        saved: Saved,
        lost: Lost,  # noqa: ARG002
    ) -> None:
        """See ``Landing``."""
        if payload is not None:
            payload.release()
        for task, brought in came:
            if brought.written > 0:
                saved(task, brought, node, None)
            else:
                self._looks += 1
                self._threads.call(partial(self._compare, task, brought, node, saved))

    def _compare(self, task: Task, brought: Brought, node: str, saved: Saved) -> None:
        """See whether what is there is what was sent."""
        there = self._head(task)

        def told() -> None:
            self._looks -= 1
            mark = -brought.written
            if isinstance(there, There) and (there.size, mark_of(there.etag)) == (
                brought.size,
                mark,
            ):
                saved(task, brought._replace(written=mark), node, None)
            else:
                error = there if isinstance(there, RaydlError) else None
                saved(task, None, node, error or in_the_way(self._name(task)))

        self._post(told)

    def fetch_large(self, job: Job, options: Options) -> Brought:
        """See ``Landing``."""
        at, digest = self._at(job.task), checksum_of(job.task, "in a bucket")
        options = replace(
            options,
            skip_existing=False,
            checksum=digest,
        )
        task = job.task
        claim = Claim(task.replaces, task.may_be_there)
        try:
            report = run(
                job.url, str(at.place), options, job.heard, job.control, task.listed,
                claim=claim,
            )  # fmt: skip
        finally:
            task.may_be_there = claim.may_be_there
        return brought_by(report)._replace(written=mark_of(claim.made))

    def is_there(self, task: Task) -> bool:  # noqa: ARG002 - as others need it
        """See ``Landing``: what is in the way is what it is."""
        return False

    def is_over(self, now: float) -> bool:
        """See ``Landing``."""
        return not self._looks and super().is_over(now)

    def close(self) -> None:
        """See ``Landing``."""
        self._threads.close()
        super().close()
