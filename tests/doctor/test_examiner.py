"""What a machine says of itself."""

import socket
import time

from raydl.doctor.examiner import Examiner, closed_ports
from raydl.model.remote import Source
from tests.scripted import status


def test_facts(tmp_path):
    python, ray, files, disk, _, clock = Examiner().facts(str(tmp_path))
    assert python.startswith("3.")
    assert ray.count(".") == 2
    assert files is None or files > 0
    assert 0 < disk[0] <= disk[1]
    assert abs(clock - time.time()) < 5
    assert Examiner().facts(str(tmp_path / "none"))[3] is None


def test_ports():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert closed_ports("127.0.0.1", [port], 2) == ()
    assert closed_ports("127.0.0.1", [port], 2) == (port,)


def test_an_origin(origin):
    source = Source(origin.url(), len(origin.data), '"v1"', None)
    seconds, failure = Examiner().reach(*source.pack())
    assert seconds > 0
    assert failure is None
    origin.on(status(403), None, lambda seen: True)
    _, failure = Examiner().reach(*source.pack())
    assert failure[0] == "status"
    assert failure[2] == 403
