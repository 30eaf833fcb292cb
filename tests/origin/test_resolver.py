"""The first questions to an origin: how long, how often, and what a person hears meanwhile."""

import logging
import queue
import threading
from urllib.parse import urlsplit

import pytest

import raydl
from raydl.download.mirrorsearch import MirrorSearch
from raydl.model import weburl
from raydl.model.control import Control
from raydl.model.errors import HttpError, NetworkError, WrongAnswerError
from raydl.model.events import Unanswered
from raydl.origin import lookup, resolver
from raydl.origin.resolver import resolve, text_at
from raydl.settings.options import Options
from tests import scripted
from tests.download.test_download import ALONE
from tests.scripted import anything, redirect, status


class Clock:
    """A control and a clock: waiting takes no time."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(lookup.time, "monotonic", lambda: self.now)

    def control(self):
        control = Control()
        control.wait = self.wait
        return control

    def wait(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def probe(url, clock, **options):
    events = []
    try:
        resolve(url, Options.of(options), events.append, clock.control())
    except raydl.RaydlError as error:
        return error, events
    return None, events


def test_an_origin_that_only_fails_has_twenty_seconds(origin, clock):
    origin.on(status(500), None, anything)
    error, events = probe(origin.url(), clock)
    assert isinstance(error, HttpError)
    assert "--retries" in error.hint
    assert clock.now <= lookup.FIRST_BUDGET
    assert isinstance(events[0], Unanswered)
    assert "answered 500" in str(events[0])
    assert "again in " in str(events[0])
    assert not any(isinstance(event, Unanswered) for event in events[1:])


@pytest.mark.parametrize("chosen", [{"retries": 7}, {"timeout": 31}])
def test_what_is_asked_for_is_done(origin, clock, chosen):
    origin.on(status(500), None, anything)
    probe(origin.url(), clock, **chosen)
    assert clock.now > lookup.FIRST_BUDGET


def test_one_that_has_answered_before_is_worth_more(origin, clock):
    origin.on(status(500), None, anything)
    with pytest.raises(HttpError):
        resolve(origin.url(), Options(), id, clock.control(), is_known=True)
    assert clock.now > lookup.FIRST_BUDGET


def test_silence_has_twenty_seconds(origin, clock, monkeypatch):
    timeouts = []

    class Silent:
        def __init__(self, access, timeout, cookies):
            timeouts.append(timeout)

        def probe(self, url, how):
            clock.now += timeouts[-1]
            raise lookup.OriginFailure(lookup.Failure("timeout", "h sent nothing"))

        def close(self):
            pass

        abort = close

    monkeypatch.setattr(lookup, "Origin", Silent)
    error, _ = probe("http://h/f", clock)
    assert isinstance(error, NetworkError)
    assert timeouts == [lookup.FIRST_BUDGET]  # a slow origin has all of it for one answer


def test_silence_is_told_while_it_lasts(origin, monkeypatch):
    monkeypatch.setattr(lookup, "FIRST_WORD", 0.01)
    told = threading.Event()
    events = []

    def emit(event):
        events.append(event)
        told.set()

    origin.on(lambda *_: told.wait(10) and False, 1, anything)
    resolve(origin.url(), Options(), emit, Control())
    assert isinstance(events[0], Unanswered)
    assert "has not answered for 10ms; waiting" in str(events[0])


def test_all_of_a_question_has_an_end(origin, monkeypatch):
    """Redirects that each come in time."""
    monkeypatch.setattr(lookup, "MOST_WAITS", 0.1)
    origin.on(lambda handler, _: handler.origin.release.wait(20), None, anything)
    with pytest.raises(NetworkError, match="did not answer in time"):
        resolve(origin.url(), Options.of({"retries": 0, "timeout": 5}), id, Control())


@pytest.mark.parametrize("ask", [raydl.probe, raydl.open, lambda url: next(raydl.stream(url))])
def test_quiet_ways_say_that_nothing_comes(origin, caplog, ask):
    origin.on(status(503, Retry_After="0"), 2, anything)
    with caplog.at_level(logging.WARNING, "raydl"):
        ask(origin.url())
    assert "answered 503" in caplog.text


def test_from_https_to_http_is_said(origin, make_origin, certificates):
    secure = scripted.secured(make_origin(b""), certificates)
    secure.on(redirect(origin.url()), None, anything)
    url = secure.url().replace("http://", "https://")
    events = []
    options = Options.of({"cacert": str(certificates / "ca.pem")})
    remote = resolve(url, options, events.append, Control()).remote
    assert remote.is_downgraded
    assert any("from https to http" in str(event) for event in events)


def test_every_name_that_is_let_in_means_something():
    """The command line begins without the resolver, so names of schemes stand in the model, too."""
    assert tuple(resolver.SCHEMES) == weburl.SCHEMES


class Signer:
    """Names such as ``toy://h/f``, for which a URL is signed for each look."""

    def __init__(self, monkeypatch, origin):
        self.origin, self.count = origin, 0
        monkeypatch.setattr(weburl, "SCHEMES", (*weburl.SCHEMES, "toy"))
        monkeypatch.setitem(resolver.SCHEMES, "toy", self.sign)

    def sign(self, name):
        self.count += 1
        path = urlsplit(name).path
        return self.origin.url(f"{path}?ticket={self.count}"), ("anna", "hunter2")


class TestAnotherScheme:
    """One function is all that it takes."""

    @pytest.fixture
    def signer(self, monkeypatch, origin):
        return Signer(monkeypatch, origin)

    def test_it_is_located(self, signer):
        found = resolve("toy://h/file.bin", Options(), id, Control())
        assert found.remote.size == len(signer.origin.data)
        assert found.remote.final_url == found.source.url == signer.origin.url("/file.bin?ticket=1")
        assert found.again().url == signer.origin.url("/file.bin?ticket=2")
        assert found.identity == resolve("toy://h/file.bin", Options(), id, Control()).identity
        assert "authorization" in signer.origin.requests[0].headers
        assert "ticket" not in f"{found!r}{found.identity}"

    def test_a_list_of_digests_as_well(self, signer):
        assert text_at("toy://h/f", Options(), id, Control(), "toy://h/x", 2_000_000)
        assert signer.origin.requests[0].path == "/x?ticket=1"

    def test_a_download_of_it_goes_on(self, signer, in_tmp):
        """Though every URL is another one."""
        signer.origin.on(status(404), None, lambda seen: seen.is_part and seen.range[0] > 500_000)
        options = {**ALONE, "part_size": 10_000, "retries": 0}
        with pytest.raises(HttpError, match="404"):
            raydl.fetch("toy://h/file.bin", **options)
        signer.origin.rules.clear()
        report = raydl.fetch("toy://h/file.bin", **options)
        assert report.resumed > 0
        assert (in_tmp / "file.bin").read_bytes() == signer.origin.data

    def test_a_mirror_may_be_one(self, signer, make_origin):
        posted = queue.SimpleQueue()
        first = resolve(make_origin(signer.origin.data).url(), Options(), id, Control())
        search = MirrorSearch(first, Options(mirror=("toy://h/f",)), posted.put)
        search.start()
        assert posted.get(timeout=10).mirror.source.url == signer.origin.url("/f?ticket=1")


class TestTexts:
    def test_it_is_asked_for_again(self, origin, clock):
        origin.on(status(503), 2, anything)
        text = text_at(origin.url(), Options(), id, clock.control(), origin.url(), 2_000_000)
        assert len(text) > 1000

    def test_it_is_bounded(self, origin, clock):
        with pytest.raises(WrongAnswerError, match="no list of digests, but more than 100 B came"):
            text_at(origin.url(), Options(), id, clock.control(), origin.url(), 100)

    def test_it_can_be_cancelled(self, origin):
        control = Control()

        def cancel(handler, seen):
            control.cancel()
            handler.origin.release.wait(10)
            return True

        origin.on(cancel, None, anything)
        with pytest.raises(raydl.CancelledError):
            text_at(origin.url(), Options(), id, control, origin.url(), 100)
