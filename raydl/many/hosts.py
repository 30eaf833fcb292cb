"""The origin hosts of a run, each with its own queue, lanes and credentials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from raydl.many.host import Host, Task
from raydl.many.tempo import Tempo
from raydl.model.events import Emit, Notice
from raydl.model.remote import Source
from raydl.origin.access import access_of
from raydl.origin.credentialscope import HARMLESS, is_same_origin
from raydl.origin.resolver import SCHEMES, UserPassword
from raydl.settings.options import Options

KEPT = 10_000
"""Hosts that are remembered, at most, once nothing is left to do there."""


class Hosts:
    """Those that files are asked for, by scheme, address, and the user in the URL."""

    def __init__(self, options: Options, emit: Emit) -> None:
        self._options, self._emit = options, emit
        self._hosts: dict[tuple[str, str, UserPassword], Host] = {}
        self._told: set[str] = set()
        self.owner = ""
        """The first URL of the list: what is private in the options is for its host."""

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def add(self, task: Task, nodes: int, now: float) -> None:
        """It is to be fetched from its host. Raises UsageError."""
        scheme = task.item.url.partition(":")[0].lower()
        url, auth = SCHEMES[scheme](task.item.url)
        key = scheme, url.split("/", 3)[2].partition("?")[0].partition("#")[0], auth
        host = self._hosts.get(key)
        if host is None:
            self._forget()
            host = self._hosts[key] = self._made(url, auth, nodes, now)
        task.url = url
        host.add(task)

    def _made(self, url: str, auth: UserPassword, nodes: int, now: float) -> Host:
        options = self._options
        # A list may name hosts that the user has never seen. What is private in the options goes
        # to the first of them; others have what the netrc file has for them.
        if _has_private(options) and not is_same_origin(self.owner, url):
            first = urlsplit(self.owner).hostname
            self._tell(f"headers, user, token and certificate go to {first} alone, the first host")
        access, _ = access_of(url, auth, options, self._tell, owner=self.owner)
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

    def options_for(self, url: str) -> Options:
        """The options without what is private in them, unless it is for that URL."""
        if is_same_origin(self.owner, url):
            return self._options
        harmless = tuple(pair for pair in self._options.header if pair[0].lower() in HARMLESS)
        return replace(
            self._options, header=harmless, user=None, bearer_env=None, cert=None, key=None
        )


def _has_private(options: Options) -> bool:
    private = any(name.lower() not in HARMLESS for name, _ in options.header)
    return bool(private or options.user or options.bearer_env or options.cert)
