"""The origin hosts of a run, each with its own queue, lanes and credentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from raydl.many.host import Host, Task
from raydl.many.tempo import Tempo
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
            task.url, address = "", split(name).netloc
        else:
            task.url, auth = SCHEMES[scheme](name)
            address = task.url.split("/", 3)[2].partition("?")[0].partition("#")[0]
        key = scheme, address, auth
        host = self._hosts.get(key)
        if host is None:
            self._forget()
            host = self._hosts[key] = self._made(name, task.url or name, auth, nodes, now)
        if host.gone is not None:
            raise host.gone
        host.add(task)

    def _made(self, name: str, url: str, auth: UserPassword, nodes: int, now: float) -> Host:
        # What a bucket may be shown is known by its name: nothing is signed to find that out.
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
        return Host(source, Tempo(nodes, now, most), is_store(name))

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
