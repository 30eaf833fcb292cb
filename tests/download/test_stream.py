"""The bytes without a disk: in order, bounded, and no longer than somebody reads."""

import hashlib
import io
import tarfile
import time

import pytest

import raydl
from raydl.model.errors import ChecksumError, OriginChangedError, RangesIgnoredError, UsageError
from tests.conftest import random_bytes
from tests.download.test_download import ALONE
from tests.scripted import changed, cut_off, ignore_range, status

SMALL = {**ALONE, "part_size": 50_000}


pytestmark = pytest.mark.usefixtures("no_leaks")


def read(url, **options):
    return b"".join(bytes(data) for data in raydl.stream(url, **{**SMALL, **options}))


def test_all_of_it_in_order(origin):
    assert read(origin.url()) == origin.data


def test_an_empty_file(make_origin):
    assert read(make_origin(b"").url()) == b""


@pytest.mark.parametrize("fault", [status(503), cut_off(10_000), cut_off(10_000, reset=True)])
def test_faults(origin, fault):
    origin.on(fault, 4)
    assert read(origin.url()) == origin.data


def test_without_ranges(make_origin):
    origin = make_origin(random_bytes(3_000_000), ranges=False)
    assert read(origin.url()) == origin.data


def test_a_slow_reader_slows_the_fleet(make_origin):
    """With 1 MiB of memory no more than that is ever asked for beyond what was read."""
    origin = make_origin(random_bytes(5_000_000))
    used = 0
    for data in raydl.stream(origin.url(), max_memory="1MiB", **SMALL):
        asked = max(seen.range[1] for seen in origin.parts) + 1
        assert asked - used <= (1 << 20) + 50_000
        used += data.nbytes
        time.sleep(0.001)
    assert used == len(origin.data)


def test_who_holds_on_to_a_view_does_no_harm(origin):
    kept = list(raydl.stream(origin.url(), **SMALL))
    with pytest.raises(TypeError, match="read-only"):
        kept[0][0] = 1
    assert sum(view.nbytes for view in kept) == len(origin.data)


def test_leaving_the_loop_ends_it(make_origin, no_leaks):
    origin = make_origin(random_bytes(20_000_000))
    for _ in raydl.stream(origin.url(), max_memory="2MiB", **SMALL):
        break
    assert sum(s.range[1] + 1 - s.range[0] for s in origin.parts) < 10_000_000


def test_errors_come_where_the_bytes_end(origin):
    origin.on(status(404), None, lambda seen: seen.is_part and seen.range[0] > 500_000)
    got = bytearray()

    def take():
        for data in raydl.stream(origin.url(), connections=1, **SMALL):
            got.extend(data)

    with pytest.raises(raydl.HttpError):
        take()
    assert 0 < len(got) <= 600_000
    assert origin.data.startswith(got)


def test_a_file_that_changes_is_never_mixed(origin):
    origin.on(changed(headers={"ETag": '"v2"'}), None, lambda s: s.is_part and s.range[0] > 500_000)
    with pytest.raises(OriginChangedError):
        read(origin.url(), connections=1)


def test_digests(origin):
    right = hashlib.sha256(origin.data).hexdigest()
    assert read(origin.url(), checksum=f"sha256:{right}") == origin.data
    with pytest.raises(ChecksumError):
        read(origin.url(), checksum="sha256:" + "0" * 64)


def test_wrong_options_are_told_at_once(origin):
    with pytest.raises(UsageError):
        raydl.stream(origin.url(), connections=-1)


@pytest.mark.parametrize("reads", [raydl.open, raydl.refs, raydl.stream])
def test_where_bytes_land_means_nothing_to_who_reads_them(origin, reads):
    with pytest.raises(UsageError, match="only fetch"):
        reads(origin.url(), to="every-node")


def test_a_tar_on_the_way(make_origin):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for number in range(20):
            member = tarfile.TarInfo(f"{number}.bin")
            member.size = 30_000
            tar.addfile(member, io.BytesIO(random_bytes(30_000, number)))
    origin = make_origin(packed.getvalue())
    with raydl.open(origin.url(), **SMALL) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
        members = {m.name: tar.extractfile(m).read() for m in tar}
    assert members == {f"{n}.bin": random_bytes(30_000, n) for n in range(20)}


@pytest.mark.cluster
class TestRefs:
    def test_parts_stay_where_they_were_fetched(self, two_nodes, make_origin):
        import ray

        origin = make_origin(random_bytes(3_000_000))
        raydl.disconnect()
        ray.init(two_nodes.address, log_to_driver=False, configure_logging=False)
        try:
            words = b""
            at = 0
            for ref, start, stop in raydl.refs(origin.url(), part_size=200_000, progress="none"):
                assert start == at
                at = stop
                data = memoryview(ray.get(ref))
                assert data.nbytes == stop - start
                words += data
            assert words == origin.data

            @ray.remote(num_cpus=0)
            def digest(data):
                return hashlib.sha256(memoryview(data)).hexdigest()

            parts = list(raydl.refs(origin.url(), part_size=500_000, fetch_here=False))
            digests = ray.get([digest.remote(part.ref) for part in parts])
            assert digests == [
                hashlib.sha256(origin.data[part.start : part.stop]).hexdigest() for part in parts
            ]
            head = ray.get_runtime_context().get_node_id()
            homes = ray.experimental.get_object_locations([part.ref for part in parts])
            assert all(head not in home["node_ids"] for home in homes.values())
            assert ray.is_initialized()
        finally:
            raydl.disconnect()
            ray.shutdown()

    def test_no_ranges_no_parts(self, two_nodes, make_origin):
        import ray

        raydl.disconnect()
        ray.init(two_nodes.address, log_to_driver=False, configure_logging=False)
        try:
            with pytest.raises(RangesIgnoredError, match="no parts for the nodes"):
                next(raydl.refs(make_origin(b"abc", ranges=False).url()))
            origin = make_origin(random_bytes(1_000_000))
            origin.on(ignore_range, None)
            with pytest.raises(RangesIgnoredError):
                list(raydl.refs(origin.url(), part_size=100_000))
        finally:
            raydl.disconnect()
            ray.shutdown()

    def test_without_a_session_there_is_one_afterwards(self, two_nodes, make_origin):
        import ray

        origin = make_origin(random_bytes(1_000_000))
        raydl.disconnect()
        assert not ray.is_initialized()
        try:
            parts = list(raydl.refs(origin.url(), address=two_nodes.address, part_size=200_000))
            raydl.disconnect()
            data = b"".join(bytes(memoryview(ray.get(part.ref))) for part in parts)
            assert data == origin.data
        finally:
            ray.shutdown()


def test_refs_need_a_cluster(origin):
    with pytest.raises(UsageError, match="need a Ray cluster"):
        raydl.refs(origin.url(), address="none")
