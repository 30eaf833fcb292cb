"""The origin hosts of a run, each with its own queue, lanes and credentials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from raydl.many.host import Host, Task
from raydl.many.tempo import Tempo
from raydl.model.errors import NetworkError, RaydlError
from raydl.model.events import Emit, Notice
from raydl.model.remote import Source
from raydl.model.weburl import is_store, split
from raydl.origin import stores
from raydl.origin.access import access_of
from raydl.origin.credentialscope import HARMLESS, is_same_origin
from raydl.origin.resolver import SCHEMES, UserPassword
from raydl.settings.options import Options

KEPT = 10_000
"""Hosts that are remembered, at most, once nothing is left to do there."""


class Hosts:
    """Those that files are asked for, by scheme, address or bucket, and the user in the URL."""

    def __init__(self, options: Options, emit: Emit) -> None:
        self._options, self._emit = options, emit
        self._hosts: dict[tuple[str, str, UserPassword], Host] = {}
        self._gone: dict[tuple[str, str], NetworkError] = {}
        self._told: set[str] = set()
        self.owner = ""
        """The first URL of the list: what is private in the options is for its host."""

    def __iter__(self) -> Iterator[Host]:
        return iter(list(self._hosts.values()))  # what fails meanwhile may go on at another

    def add(self, task: Task, nodes: int, now: float) -> None:
        """It is to be fetched from its host. Raises RaydlError."""
        name, auth = task.item.url, None
        scheme = name.partition(":")[0].lower()
        if is_store(name):
            address = split(name).netloc
        else:
            task.url, auth = SCHEMES[scheme](name)
            address = task.url.split("/", 3)[2].partition("?")[0].partition("#")[0]
        key = scheme, address, auth
        host = self._hosts.get(key)
        if host is None:
            self._forget()
            url = task.url or self._first_signed(name, scheme, address)
            host = self._hosts[key] = self._made(name, url, auth, nodes, now)
        host.add(task)

    def ready(self, tasks: list[Task], failed: Callable[[Task, RaydlError], None]) -> list[Task]:
        """Those that can be asked for. URLs of stores are signed right before, as they expire."""
        able = []
        for task in tasks:
            try:
                if is_store(task.item.url):
                    task.url, _ = SCHEMES[split(task.item.url).scheme](task.item.url)
                able.append(task)
            except RaydlError as error:
                failed(task, error)
        return able

    def _first_signed(self, name: str, scheme: str, bucket: str) -> str:
        """A URL in a bucket; one that cannot be reached is not waited for once for each name.

        Raises RaydlError.
        """
        if bucket_gone := self._gone.get((scheme, bucket)):
            raise bucket_gone
        try:
            return SCHEMES[scheme](name)[0]
        except NetworkError as error:
            self._gone[scheme, bucket] = error
            raise

    def _made(self, name: str, url: str, auth: UserPassword, nodes: int, now: float) -> Host:
        options = stores.options_for(name, self._options)
        # A list may name hosts that the user has never seen. What is private in the options goes
        # to the first of them; others have what the netrc file has for them.
        is_owner = is_same_origin(self.owner, name)
        if _has_private(options) and not is_owner:
            first = split(self.owner).hostname
            self._tell(f"headers, user, token and certificate go to {first} alone, the first host")
        access, _ = access_of(url, auth, options, self._tell, owner=url if is_owner else self.owner)
        most = options.max_connections_per_origin
        source = Source(url, None, None, None, access, options.timeout)
        return Host(source, Tempo(nodes, now, most))

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._emit(Notice(text))

    def _forget(self) -> None:
        if len(self._hosts) >= KEPT:
            self._hosts = {key: host for key, host in self._hosts.items() if not host.is_idle}

    def options_for(self, name: str) -> Options:
        """The options without what is private in them, unless it is for what has that name."""
        if is_same_origin(self.owner, name):
            return self._options
        harmless = tuple(pair for pair in self._options.header if pair[0].lower() in HARMLESS)
        return replace(
            self._options, header=harmless, user=None, bearer_env=None, cert=None, key=None
        )


def _has_private(options: Options) -> bool:
    private = any(name.lower() not in HARMLESS for name, _ in options.header)
    return bool(private or options.user or options.bearer_env or options.cert)
