from raydl.scheduler.storage import LAG_SECONDS, StoreBudget


def test_nothing_is_known_at_first():
    store = StoreBudget()
    assert store.window(1000) == 1000
    store.took(10**9)
    assert store.has_room(10**12, 0.0)


def test_what_ray_has_not_freed_yet_counts():
    store = StoreBudget()
    store.meet(1000)
    assert store.window(1000) == 250
    assert store.window(100) == 100
    store.took(400)
    store.spared(100)  # the request brought less
    assert store.has_room(200, 0.0)
    assert not store.has_room(250, 0.0)
    store.released(300, 0.0)
    assert not store.has_room(250, 0.1)
    assert store.has_room(500, LAG_SECONDS)
    assert not store.has_room(501, LAG_SECONDS)


def test_the_smallest_store_counts_whenever_it_comes():
    store = StoreBudget()
    for size, smallest in ((0, 0), (1000, 1000), (0, 1000), (400, 400), (2000, 400)):
        store.meet(size)
        assert store.size == smallest
    assert store.window(1000) == 100
