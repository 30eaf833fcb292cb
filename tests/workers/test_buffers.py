import pickle

from raydl.workers import buffers
from raydl.workers.buffers import Buffers


def whose(view):
    return id(view.obj)


def test_one_that_nobody_has_is_used_again():
    pool = Buffers()
    first = pool.take(1000)
    was = whose(first)
    assert whose(pool.take(1000)) != was
    del first
    assert whose(pool.take(900)) == was


def test_what_waits_to_be_copied_is_left_alone():
    pool = Buffers()
    view = pool.take(1000)
    was = whose(view)
    waiting = pickle.PickleBuffer(view[:10])
    del view
    assert whose(pool.take(1000)) != was
    waiting.release()
    assert whose(pool.take(1000)) == was


def test_one_for_few_bytes_is_no_large_one():
    pool = Buffers()
    was = whose(pool.take(1000))
    assert whose(pool.take(499)) != was


def test_it_keeps_so_much_and_the_oldest_make_room(monkeypatch):
    monkeypatch.setattr(buffers, "KEPT_BYTES", 2500)
    pool = Buffers()
    held = [pool.take(1000), pool.take(1000), pool.take(1000)]
    first = whose(held[0])
    del held
    assert whose(pool.take(1000)) == first
    large = pool.take(2400)
    assert large.nbytes == 2400
    assert sum(map(len, pool._kept)) <= 2500


def test_what_is_left_over_is_not_seen():
    pool = Buffers()
    pool.take(1000)[:] = b"x" * 1000
    pool.forget()
    assert bytes(pool.take(1000)) == bytes(1000)
