"""What a name such as ``https://host/f`` leads to: the URL to ask, and the file that is there.

The first look, mirrors, looks at what has changed or expired, and lists of digests all go through
here. To add a scheme: a function in ``SCHEMES`` here, and its name in those of ``model/weburl``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from raydl.model.control import Control
from raydl.model.errors import HttpError
from raydl.model.events import Emit, Notice
from raydl.model.pieces import Pieces
from raydl.model.remote import Remote, Source
from raydl.model.weburl import STORES, check_url, is_store, redact
from raydl.origin import stores
from raydl.origin.credentialscope import is_same_origin
from raydl.origin.identity import Identity
from raydl.origin.lookup import FIRST_BUDGET, Asking
from raydl.origin.userinfo import split_auth
from raydl.settings.options import Options

UserPassword = tuple[str, str] | None

SCHEMES: dict[str, Callable[[str], tuple[str, UserPassword]]] = {
    "http": split_auth,
    "https": split_auth,
    **dict.fromkeys(STORES, stores.signed),
}
"""By the scheme of a name: what makes of it the http or https URL to ask, and the user and password
that were in it. Raises RaydlError."""


@dataclass(frozen=True)
class Located:
    """A name, and the file that was found where it leads.

    ``remote`` is what is known of it. ``options`` were given for the name ``owner``: for another
    one's URL, what is private in them is left out. ``pieces`` are what its bytes are held against.
    ``named`` are mirrors that the origin names, and that may be asked.
    ``known_as`` is the name by which what is kept of it is known, where this one is a mirror's.
    The reprs hold no secret.
    """

    name: str = field(repr=False)
    remote: Remote
    options: Options = field(repr=False)
    emit: Emit = field(repr=False)
    owner: str = field(repr=False)
    pieces: Pieces | None = None
    named: tuple[str, ...] = field(default=(), repr=False)
    known_as: str | None = field(default=None, repr=False)

    @property
    def identity(self) -> Identity:
        """Which file this is, whatever its URL is signed with, and which mirror was asked."""
        asked, known = Identity.of(self.name), Identity.of(self.known_as or self.name)
        return known if asked == known else replace(known, mirror=str(asked))

    @property
    def source(self) -> Source:
        """What lanes need to ask for byte ranges of it. Raises RaydlError.

        A URL that was signed when the file was found may have expired since.
        """
        source = self.remote.source(self.options.timeout)
        if is_store(self.name) and "?" in source.url:
            source = replace(source, url=_url_of(self.name)[0])
        return source

    def again(self) -> Source:
        """The source by now: a URL that was signed may have expired. Raises RaydlError."""
        found = resolve(
            self.name, self.options, self.emit, Control(), owner=self.owner, is_known=True
        )
        return found.source


def resolve(
    name: str,
    options: Options,
    emit: Emit,
    control: Control,
    how: str = "head",
    *,
    owner: str | None = None,
    is_known: bool = False,
) -> Located:
    """Look what ``name`` leads to, again and again while that may help. Raises RaydlError.

    ``how`` is that of ``Origin.probe``. The options were given for ``owner``, where that is another
    name. ``is_known``: the origin has answered before, so wait longer.
    """
    budget = None if is_known else FIRST_BUDGET
    if is_store(name):
        remote = _ask_store(name, owner, options, emit, control, budget, how)
    else:
        asking = _asking(name, owner, options, emit, control, budget)
        remote = asking.ask(lambda origin: origin.probe(asking.url, how))
    if remote.is_downgraded:
        emit(Notice("the origin redirects from https to http: who is on the way can change it"))
    return Located(name, remote, options, emit, owner or name)


def _ask_store(
    name: str,
    owner: str | None,
    options: Options,
    emit: Emit,
    control: Control,
    budget: float | None,
    how: str,
) -> Remote:
    """What a store has, known by its name, for URLs that are signed come and go."""
    options = stores.options_for(name, options)
    asking = _asking(name, owner, options, emit, control, budget, f" for {redact(name)}")
    how = "byte" if how == "head" else how  # a signature is for GET, and holds for no HEAD
    try:
        remote = asking.ask(lambda origin: origin.probe(asking.url, how))
    except HttpError as error:
        raise stores.refused(name, error) from None
    digests = remote.digests
    if not digests and options.origin_digest:
        digests = stores.stated(name, remote.etag)
    return replace(remote, url=name, digests=digests)


def text_at(
    owner: str, options: Options, emit: Emit, control: Control, name: str, limit: int
) -> str:
    """The text that ``name`` leads to, ``limit`` bytes at most. Raises RaydlError.

    The options were given for ``owner``.
    """
    what = f" for {redact(name)}"
    asking = _asking(name, owner, options, emit, control, FIRST_BUDGET, what)
    return asking.ask(lambda origin: origin.text(asking.url, limit))


def _asking(
    name: str,
    owner: str | None,
    options: Options,
    emit: Emit,
    control: Control,
    budget: float | None,
    what: str = "",
) -> Asking:
    url, auth = _url_of(name)
    near = url if owner is None or is_same_origin(owner, name) else owner
    return Asking(url, auth, near, options, emit, control, budget, what)


def _url_of(name: str) -> tuple[str, UserPassword]:
    return SCHEMES[check_url(name).scheme](name)
