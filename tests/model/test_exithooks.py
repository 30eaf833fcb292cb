import subprocess
import sys

import pytest

CODE = """
import threading
from raydl.model.exithooks import before_exit

class Waits:
    def __init__(self):
        self.ended = threading.Event()
        threading.Thread(target=self.ended.wait).start()

    def cancel(self):
        self.ended.set()

class Fails(Waits):
    def cancel(self):
        self.ended.set()
        raise OSError

kept = [Fails(), Waits(), Fails(), Waits()]
for one in kept:
    before_exit(one)
"""


def test_a_program_that_ends_waits_for_no_thread_that_can_be_cancelled():
    """One that raises keeps no other waiting."""
    subprocess.run([sys.executable, "-c", CODE], check=True, timeout=30)


OPEN = """
import io, os, threading
from raydl.model.exithooks import closed_at_exit

asked, answered = threading.Lock(), threading.Lock()
asked.acquire(), answered.acquire()

# Without the globals of this program, or it would keep them.
apart = eval("lambda asked, answered: asked.acquire() and answered.release()", {})
threading.Thread(target=apart, args=(asked, answered), daemon=True).start()

def end(asked=asked, answered=answered, leave=os._exit):  # later there are no globals
    asked.release()
    answered.acquire(timeout=5) or leave(3)

class File(io.RawIOBase):
    def close(self, end=end):
        if not self.closed:
            end()
        super().close()

class Fails:
    def close(self):
        raise OSError

def items(end=end):
    try:
        yield 1
    finally:
        end()

fails = closed_at_exit(Fails())
"""


@pytest.mark.parametrize(
    "more", ["file = closed_at_exit(File())", "begun = closed_at_exit(items()); next(begun)"]
)
def test_what_is_open_is_closed_while_daemon_threads_go_on(more):
    subprocess.run([sys.executable, "-c", OPEN + more], check=True, timeout=30)
