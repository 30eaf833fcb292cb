"""The table "What a URL may be shown" in docs/http.md, cell by cell, against origins with TLS."""

import base64
import hashlib
import re
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import raydl
from raydl.download.mirrorsearch import SPOTS
from raydl.model.remote import Access
from raydl.origin.credentialscope import is_same_origin, shown
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import anything, redirect, secured, status

TEXT = (Path(__file__).parents[2] / "docs" / "http.md").read_text()
TABLE = TEXT[TEXT.index("### What a URL may be shown") :]
LINES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\|.*\|$", TABLE, re.M)
]
CELLS = [
    (line[0], column, cell)
    for line in LINES[2:]
    for column, cell in zip(LINES[0][1:], line[1:], strict=True)
    if len(line) == len(LINES[0])
]
OURS, THEIRS = "127.0.0.1", "localhost"
CERTIFICATE = (("cert", "pem"), ("key", "key"))


def basic(user):
    return "Basic " + base64.b64encode(f"{user}:pw".encode()).decode()


@pytest.fixture
def places(make_origin, certificates):
    """Two origins under two names; ``certified`` are the requests that came with a certificate."""
    origins = []
    for name in (OURS, THEIRS):
        origin = make_origin(random_bytes(200_000))
        secured(origin, certificates, verify_mode=ssl.CERT_OPTIONAL)
        origin.address = origin.url().replace(f"http://{OURS}", f"https://{name}")
        origin.certified, origin.asked = [], threading.Event()
        origins.append(origin)
    return origins


def note(handler, seen):
    handler.origin.asked.set()
    if handler.connection.getpeercert():
        handler.origin.certified.append(seen)
    return False


def own(kind, tmp_path):
    """A file with something for each of the two places."""
    path = tmp_path / kind
    if kind == "netrc":
        lines = [f"machine {name} login {name} password pw" for name in (OURS, THEIRS)]
    else:  # http.cookiejar knows a host without a dot under .local
        names = {OURS: OURS, THEIRS: f"{THEIRS}.local"}
        lines = [f"{host}\tFALSE\t/\tTRUE\t0\tfor\t{name}" for name, host in names.items()]
        lines.insert(0, "# Netscape HTTP Cookie File")
    path.write_text("\n".join([*lines, ""]))
    path.chmod(0o600)
    return {kind: str(path)}


def options_of(row, certificates, tmp_path):
    match row.split()[-1]:
        case "`--user-agent`":
            header = ["Accept: x/y", "Accept-Language: fr", "Referer: r"]
            return {"header": header, "user_agent": "mine/1"}
        case "other":
            return {"header": "X-Key: hunter2"}
        case "`--bearer-env`":
            return {"user": "anna:pw"}
        case "netrc":
            return own("netrc", tmp_path)
        case "`--cookies`":
            return own("cookies", tmp_path)
        case "`--key`":
            return {name: str(certificates / f"client.{kind}") for name, kind in CERTIFICATE}
    raise AssertionError(row)


def carried(row, origin, seen):
    """What of that row a request carried."""
    headers, name = seen.headers, urlsplit(origin.address).hostname
    match row.split()[-1]:
        case "`--user-agent`":
            found = [headers.get(n) for n in ("accept", "accept-language", "referer", "user-agent")]
            return "yes" if found == ["x/y", "fr", "r", "mine/1"] else f"{found}"
        case "other":
            return "yes" if "x-key" in headers else "no"
        case "`--bearer-env`":
            return {basic("anna"): "yes", None: "no"}[headers.get("authorization")]
        case "netrc":
            return {basic(name): "its own", None: "no"}[headers.get("authorization")]
        case "`--cookies`":
            return {f"for={name}": "its own", None: "no"}[headers.get("cookie")]
        case "`--key`":
            return "yes" if seen in origin.certified else "no"
    raise AssertionError(row)


@pytest.mark.parametrize(("row", "column", "cell"), CELLS)
def test_the_table(places, certificates, tmp_path, in_tmp, row, column, cell):
    ours, theirs = places
    options = {"insecure": True, **options_of(row, certificates, tmp_path)}
    asked, path = theirs, "/file.bin"
    match column:
        case "the URL given":
            asked = ours
        case "a redirect within it":
            asked, path = ours, "/two.bin"
            ours.on(redirect(path), None, lambda seen: seen.path != path)
        case "a redirect elsewhere":
            ours.on(redirect(theirs.address), None, anything)
        case "a mirror elsewhere":
            options["mirror"] = theirs.address
            ours.on(lambda *_: theirs.asked.wait(5) and False)
        case "a list of digests elsewhere":
            theirs.data = f"{hashlib.sha256(ours.data).hexdigest()}  file.bin".encode()
            options["checksum_url"] = theirs.address
    for origin in places:
        origin.on(note, None, anything)
    raydl.fetch(ours.address, **options, **ALONE)
    found = [seen for seen in asked.requests if seen.path == path]
    assert found
    assert {carried(row, asked, seen) for seen in found} == {cell}


def test_a_mirror_that_is_asked_anew_is_shown_no_more(places, certificates, in_tmp):
    """It serves some bytes, and then says that the URL has expired."""
    ours, theirs = places
    options = {"user": "anna:pw", "header": "X-Key: hunter2", "insecure": True}
    size, refused = 5000, threading.Event()  # smaller than what is compared at first

    def refuse(handler, seen):
        refused.set()
        return status(403)(handler, seen)

    theirs.on(refuse, 1, lambda seen: seen.is_part and len(theirs.parts) > SPOTS + 1)
    for origin in places:
        origin.on(note, None, anything)
    ours.on(
        lambda *_: refused.wait(20) and False,
        None,
        lambda seen: seen.is_part and seen.range[1] - seen.range[0] < size,
    )
    ours.rules.reverse()
    raydl.fetch(
        ours.address, mirror=theirs.address, part_size=size, on_event=print, **options, **ALONE
    )
    assert len([seen for seen in theirs.requests if seen.method == "HEAD"]) > 1
    for seen in theirs.requests:
        assert "authorization" not in seen.headers
        assert "x-key" not in seen.headers


@pytest.mark.parametrize(
    ("url", "other", "same"),
    [
        ("http://h/a", "http://h:80/b", True),
        ("http://H/a", "http://h/a", True),
        ("http://h/a", "https://h/a", True),
        ("https://h/a", "http://h/a", False),
        ("http://h:8080/a", "https://h/a", False),
        ("http://h/a", "https://h:444/a", False),
        ("https://h/a", "https://sub.h/a", False),
        ("https://h/a", "https://h:1/a", False),
    ],
)
def test_what_is_the_same_origin(url, other, same):
    assert is_same_origin(url, other) is same


def test_trust_is_for_redirects():
    access = Access((("X", "1"),), certificate="c", trusts_redirects=True)
    assert shown(access, "http://a/", "http://b/") == access
