import os
import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from raydl.cluster.address import choose, forget, left_by_ray_start, own_addresses, parse_address
from raydl.cluster.head import check_listener
from raydl.model.errors import ClusterError, UsageError
from tests.foreign import make_foreign

SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture
def listener():
    """Answers every connection with ``reply`` and hangs up; ``.port``."""
    server = socket.create_server(("127.0.0.1", 0))
    state = SimpleNamespace(port=server.getsockname()[1], reply=SETTINGS)

    def serve():
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                link.recv(100)
                if state.reply:
                    link.sendall(state.reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield state
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def dead_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("head:1234", ("head", 1234)),
        ("10.0.0.1", ("10.0.0.1", 6379)),
        ("[fe80::1]:7", ("fe80::1", 7)),
        ("[::1]", ("::1", 6379)),
    ],
)
def test_addresses(text, parsed):
    assert parse_address(text) == parsed


@pytest.mark.parametrize("text", ["", "a b", "h:0", "h:70000", "h:port", "http://h:1", "fe80::1"])
def test_what_is_no_address(text):
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_address(text)


def test_who_takes_it_for_a_url_shows_no_password():
    with pytest.raises(UsageError, match=r"^'h:1' is no"):
        parse_address("user:hunter2@h:1")


def test_something_that_speaks_http2(listener):
    check_listener("127.0.0.1", listener.port)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0"])
def test_something_else_listens(listener, reply):
    listener.reply = reply
    with pytest.raises(ClusterError, match="no Ray head"):
        check_listener("127.0.0.1", listener.port)


def test_nothing_listens(dead_port):
    with pytest.raises(ClusterError, match=f"raydl coordinator --port {dead_port}"):
        choose(f"127.0.0.1:{dead_port}")
    with pytest.raises(ClusterError, match="--ray-client-server-port"):
        choose(f"ray://127.0.0.1:{dead_port}")


def test_an_unknown_host():
    with pytest.raises(ClusterError, match="cannot be resolved"):
        check_listener("no-such-host.invalid", 1)


def test_a_name_server_that_does_not_answer(monkeypatch, no_leaks):
    answer = threading.Event()
    monkeypatch.setattr("raydl.cluster.head.CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answer.wait() and [])
    with pytest.raises(ClusterError, match=r"no answer in 0\.1s") as caught:
        check_listener("slow.invalid", 1)
    assert "name" in caught.value.hint
    answer.set()


def test_something_that_accepts_and_says_nothing(monkeypatch):
    monkeypatch.setattr("raydl.cluster.head.CONNECT_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ClusterError, match=r"no answer in 0\.1s"),
    ):
        check_listener("127.0.0.1", silent.getsockname()[1])


def test_something_that_sends_a_byte_now_and_then(monkeypatch):
    monkeypatch.setattr("raydl.cluster.head.CONNECT_SECONDS", 0.3)
    ended = threading.Event()

    def drip(server):
        link, _ = server.accept()
        with link:
            for _ in range(8):
                link.sendall(b"\0")
                if ended.wait(0.15):
                    return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        with pytest.raises(ClusterError, match=r"no answer in 0\.3s"):
            check_listener("127.0.0.1", server.getsockname()[1])
        ended.set()
        thread.join()


def test_auto_without_any_cluster():
    choice = choose("auto")
    assert choice.how == "none"
    assert "no Ray cluster" in choice.note


def test_auto_with_ray_address(listener, dead_port, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{listener.port}")
    choice = choose("auto")
    assert (choice.how, choice.address) == ("cluster", f"127.0.0.1:{listener.port}")
    assert "RAY_ADDRESS" in choice.note
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{dead_port}")
    with pytest.raises(ClusterError):
        choose("auto")
    monkeypatch.setenv("RAY_ADDRESS", "local")
    assert choose("auto").how == "local"


def test_auto_with_what_ray_start_left(listener, dead_port, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    left = tmp_path / "ray" / "ray_current_cluster"
    left.write_text(f"127.0.0.1:{listener.port}\n")
    choice = choose("auto")
    assert choice.how == "cluster"
    assert "ray start" in choice.note
    left.write_text(f"127.0.0.1:{dead_port}")
    choice = choose("auto")
    assert choice.how == "none"
    assert "is gone" in choice.note
    left.write_text("")
    assert choose("auto").how == "none"


def test_auto_with_a_session_of_this_process(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    assert choose("auto").how == "session"


def test_named(listener):
    assert choose("none").how == "none"
    assert choose("local").how == "local"
    assert choose(f"localhost:{listener.port}").address == f"localhost:{listener.port}"
    client = choose(f"ray://127.0.0.1:{listener.port}")
    assert (client.how, client.address) == ("client", f"ray://127.0.0.1:{listener.port}")


@pytest.fixture
def left(monkeypatch, tmp_path):
    """The file that `ray start` leaves, in a place of the test's own."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    return tmp_path / "ray" / "ray_current_cluster"


def test_what_another_user_left_is_not_trusted(listener, left, monkeypatch):
    left.write_text(f"127.0.0.1:{listener.port}")
    assert choose("auto").how == "cluster"
    make_foreign(left, monkeypatch)
    assert choose("auto").how == "none"


def test_what_is_no_text_or_anyone_may_write_is_not_trusted(listener, left):
    left.write_bytes(b"\xff\xfe")
    assert choose("auto").how == "none"
    left.write_text(f"127.0.0.1:{listener.port}")
    left.chmod(0o666)
    assert choose("auto").how == "none"


def test_what_is_read_is_what_was_looked_at(listener, left, monkeypatch, tmp_path):
    """Another user changes what the path names as soon as it has been looked at."""
    left.write_text("192.0.2.1:1")
    theirs = tmp_path / "theirs"
    theirs.write_text(f"127.0.0.1:{listener.port}")
    look = os.stat

    def look_and_swap(path, *args, **kwargs):
        status = look(path, *args, **kwargs)
        if os.fspath(path) == str(left):
            theirs.replace(left)
        return status

    monkeypatch.setattr(os, "stat", look_and_swap)
    assert left_by_ray_start() == "192.0.2.1:1"


def test_anothers_pipe_holds_nobody(left, monkeypatch):
    os.mkfifo(left)
    make_foreign(left, monkeypatch)
    assert choose("auto").how == "none"


def test_where_rays_own_default_is(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("h:1")
    assert left_by_ray_start() == ("h:1" if sys.platform == "linux" else None)


def test_only_what_names_the_head_that_ended_is_forgotten(left):
    left.write_text("h:1\n")
    forget("h:2")
    assert left.exists()
    forget("h:1")
    assert not left.exists()
    forget("h:1")


def test_ray_that_is_just_being_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    assert choose("auto").how == "none"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only some are found")
def test_the_address_of_every_interface_is_found(monkeypatch):
    """Also of one that is neither the way out nor in the host's name, as lo is."""
    monkeypatch.setattr("socket.gethostname", lambda: "no-such-host.invalid")
    seen = []
    monkeypatch.setattr("raydl.cluster.address.is_here", lambda address: seen.append(address))
    own_addresses()
    assert "127.0.0.1" in seen
