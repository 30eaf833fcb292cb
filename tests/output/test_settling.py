"""What came is on the disk by and by, and the ledger knows which."""

import threading

from raydl.output.ledger import Known, Ledger
from raydl.output.settling import EVERY_SECONDS, Settling

KNOWN = Known(1, 2, None, None, "", "")


def test_what_came_while_the_disk_was_busy_waits_for_the_next_time(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def sync(path):
        begun.release()
        go_on.acquire()

    settling = Settling(ledger, tmp_path, sync)
    settling.look(100.0)
    ledger.add([(b"before", KNOWN)])
    settling.look(100.0 + EVERY_SECONDS)
    assert begun.acquire(timeout=20)
    ledger.add([(b"meanwhile", KNOWN)])
    go_on.release()
    assert settling._done.wait(20)
    settling.look(100.1 + EVERY_SECONDS)
    assert ledger.find(b"before").boot == ""
    assert ledger.find(b"meanwhile").boot != ""
    go_on.release()
    monkeypatch.setattr("raydl.output.settling.LAST_SECONDS", 20)
    settling.finish()
    assert ledger.find(b"meanwhile").boot == ""
    ledger.close()


def test_a_disk_that_is_slow_is_not_waited_for(tmp_path):
    ledger, go_on = Ledger(tmp_path), threading.Event()
    settling = Settling(ledger, tmp_path, lambda path: go_on.wait(20))
    ledger.add([(b"f", KNOWN)])
    settling.finish()
    assert ledger.find(b"f").boot != ""
    go_on.set()
    ledger.close()
