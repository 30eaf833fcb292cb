"""`raydl fetch` in a terminal of its own, where keys are what a person types."""

import os
import subprocess

import pytest

from tests.conftest import RAYDL, random_bytes

pyte = pytest.importorskip("pyte")
fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")


class Window:
    """A terminal in which a command runs, and what it shows."""

    def __init__(self, command, columns=80, lines=24, **kwargs):
        self._ours, theirs = os.openpty()
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, bytes((lines, 0, columns, 0, 0, 0, 0, 0)))
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **kwargs,
        )  # fmt: skip
        os.close(theirs)

    @property
    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait_for(self, text):
        """Until it shows that."""
        while text not in self.text:
            self._stream.feed(os.read(self._ours, 10_000))

    def type(self, keys):
        os.write(self._ours, keys)

    def wait(self):
        """The exit code, once all is shown."""
        try:
            while data := os.read(self._ours, 10_000):
                self._stream.feed(data)
        except OSError:  # nobody holds the other end any more
            pass
        os.close(self._ours)
        return self.process.wait(20)


@pytest.fixture
def hanging(make_origin):
    """An origin that sends the first mebibyte of a part, and then waits."""
    origin = make_origin(random_bytes(20_000_000))

    def behave(handler, seen):
        if not seen.is_part:
            return False
        first, last = seen.range
        handler.start(
            206,
            {
                "Content-Range": f"bytes {first}-{last}/{len(origin.data)}",
                "Content-Length": str(last + 1 - first),
                "ETag": '"v1"',
            },
        )
        handler.wfile.write(origin.data[first : min(last, first + (1 << 20)) + 1])
        handler.wfile.flush()
        origin.release.wait()
        return True

    origin.on(behave, None)
    return origin


def test_ctrl_c_leaves_nothing_of_the_bar(hanging, tmp_path):
    window = Window(
        [*RAYDL, "fetch", hanging.url(), "--address", "none", "-o", "f"],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm"},
    )
    window.wait_for("left")
    assert " % |" in window.text
    window.type(b"\x03")
    assert window.wait() == 130
    first, second, last = window.text.splitlines()
    assert first == "this machine alone, as chosen"
    assert second.endswith(": 19.1 MiB")
    assert last.startswith("raydl: interrupted; ")
    assert " are kept: " in last
    assert window.screen.cursor.x == 0
