"""Signs URLs of stores in threads: a store that does not answer holds up no other host."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raydl.many.answers import MOST_TRIES
from raydl.many.host import Host, Task
from raydl.model import backoff
from raydl.model.errors import NetworkError, RaydlError
from raydl.model.log import error_of
from raydl.model.weburl import split
from raydl.origin.resolver import SCHEMES

MOST_OF_HOST, MOST = 4, 32
"""Batches that are signed at once: of one host, and of all."""


class Signer:
    """Signs batches right before they are fetched, as URLs expire.

    One that is signed is among those of its host; ``give_up`` gets a file that cannot be, and why.
    All but the signing itself is done in the desk's thread.
    """

    def __init__(
        self,
        retries: int,
        give_up: Callable[[Task, RaydlError], None],
        post: Callable[[Callable[[], None]], None],
        clock: Callable[[], float],
    ) -> None:
        self._retries = min(retries, MOST_TRIES - 1)
        self._give_up, self._post, self._clock = give_up, post, clock
        self._under_way = 0

    def may_sign(self, host: Host, now: float) -> bool:
        """Whether a batch of that host can be signed."""
        signing = host.signing
        has_room = signing.under_way < MOST_OF_HOST and self._under_way < MOST
        return has_room and now >= signing.until

    def sign(self, host: Host, tasks: list[Task]) -> None:
        """Have these signed; meanwhile they have a lane of their host."""
        self._under_way += 1
        host.signing.under_way += 1
        host.flying += 1
        began = self._clock()

        def work() -> None:
            urls = _signed(tasks)
            self._post(lambda: self._came(host, tasks, urls, began))

        threading.Thread(target=work, name="raydl-sign", daemon=True).start()

    def _came(
        self, host: Host, tasks: list[Task], urls: list[str | RaydlError], began: float
    ) -> None:
        self._under_way -= 1
        host.signing.under_way -= 1
        host.flying -= 1
        able, unreached = [], None
        for task, url in zip(tasks, urls, strict=False):
            if isinstance(url, NetworkError):
                unreached = url
            elif isinstance(url, RaydlError):
                self._give_up(task, url)
            else:
                task.url = url
                able.append(task)
        if able:
            host.signing.reached()
            host.signed.append(able)
        if unreached is not None:
            *_, failed = tasks[: len(urls)]
            host.put_back(tasks[len(urls) :])
            self._unreached(host, failed, unreached, began)

    def _unreached(self, host: Host, task: Task, error: NetworkError, began: float) -> None:
        now = self._clock()
        task.tries += 1
        if task.tries > (min(self._retries, 1) if task.item.mirrors else self._retries):
            self._give_up(task, error)
        else:
            host.retry(task, now + backoff.delay(task.tries))
        signing = host.signing
        signing.unreached(began, now)
        if signing.is_over(MOST_TRIES - 1 if signing.was_reached else self._retries, now):
            host.gone = None if signing.was_reached else error
            for other in host.drain():
                self._give_up(other, error)


def _signed(tasks: list[Task]) -> list[str | RaydlError]:
    """A URL of each, or why there is none, up to the first for which the store was not reached."""
    urls: list[str | RaydlError] = []
    for task in tasks:
        name = task.item.url
        try:
            urls.append(SCHEMES[split(name).scheme](name)[0])
        except BaseException as raised:
            urls.append(error_of(raised))
            if isinstance(urls[-1], NetworkError):
                break
    return urls
