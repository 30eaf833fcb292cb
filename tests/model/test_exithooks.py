import subprocess
import sys

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
