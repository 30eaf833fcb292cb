"""Every node gets the file: nodes with real files, made-up objects, and a clock of its own."""

import contextlib
import os
import random
import shutil
from functools import partial
from pathlib import Path

import pytest

from raydl.landing import desk, everynode, replicas
from raydl.landing.everynode import RETURN_SECONDS, START_SECONDS, EveryNode
from raydl.model.errors import (
    CancelledError,
    ChecksumError,
    IncompleteError,
    OutputError,
    TargetError,
    UsageError,
)
from raydl.model.events import CopiesNow, Notice
from raydl.model.remote import Remote
from raydl.origin.identity import Identity
from raydl.output.placedfile import PlacedFile
from raydl.workers.actor import lost_answer
from raydl.workers.nodefiles import LATE, LOST, MISSING, NodeFiles
from raydl.workers.protocol import Listed
from tests.landing.nodes import DATA, PART, FakeNode, Worlds

TARGET = Path("/d/f")


@pytest.fixture(autouse=True)
def short_turns(monkeypatch):
    """Time passes by turns: what they wait for in between are threads that digest and sync."""
    monkeypatch.setattr(desk, "TURN_SECONDS", 0.002)
    monkeypatch.setattr(everynode, "CLOSE_SECONDS", 0.1)


def run(world, turn=lambda world: None, most=2000):
    """``turn`` is called before every turn; the clock moves on a tenth of a second with each."""
    every = EveryNode(world.means, TARGET, world.clock)
    taken = every._turn
    turns = 0

    def next_turn():
        nonlocal turns
        turns += 1
        assert turns < most, (
            f"it hangs: {[vars(r) for r in every._replicas]} {every._shipping._shipments}"
        )
        world.now += 0.1
        for node in world.nodes:
            if not (node.gone or node.frozen):
                every._desk.heard_at[node.node] = world.now
        turn(world)
        for node in world.nodes:
            node.try_again()
        return taken()

    every._turn = next_turn
    return every.run()


def test_every_node_has_it_and_the_origin_is_read_once(tmp_path):
    world = Worlds(tmp_path, 4)
    report = run(world)
    assert all(world.has(node) for node in world.nodes)
    assert world.served == len(DATA) == report.fetched
    assert [report.nodes[n.node].state for n in world.nodes] == ["done"] * 4
    shares = [report.nodes[n.node] for n in world.nodes]
    assert all(share.bytes + share.from_peers == len(DATA) for share in shares)
    assert {share.digest for share in shares} == {str(world.means.proof.checksum)}
    assert all(world.left(node) == [".f.raydl", "f"] for node in world.nodes)


def test_a_second_time_nothing_is_fetched_and_nothing_read(tmp_path):
    run(Worlds(tmp_path, 3))
    world = Worlds(tmp_path, 3)
    report = run(world)
    assert world.served == 0
    assert report.fetched == 0
    assert {share.state for share in report.nodes} == {"had"}


def test_a_new_node_gets_it_from_its_peers(tmp_path):
    run(Worlds(tmp_path, 3))
    world = Worlds(tmp_path, 4)
    report = run(world)
    assert world.served == 0
    assert report.nodes["n3"].state == "done"
    assert report.nodes["n3"].from_peers == len(DATA)
    assert world.has(world.nodes[3])


def test_a_node_that_joins_half_way_has_it_too(tmp_path):
    world = Worlds(tmp_path, 2)
    late = FakeNode("late", tmp_path / "late")
    late.folder.mkdir()
    joined = []

    def covered(part):
        if part.start >= len(DATA) // 2 and not joined:
            joined.append(part)
            world.join(late)

    world.covered = covered
    report = run(world)
    assert report.nodes["late"].state == "done"
    assert world.has(late)
    assert world.served == len(DATA)


def test_a_node_that_dies_is_named_and_the_same_command_goes_on_with_it(tmp_path):
    world = Worlds(tmp_path, 3)
    victim = world.nodes[1]
    world.covered = lambda part: (
        world.lose(victim, listed=False) if part.start == 4 * PART and not victim.gone else None
    )
    with pytest.raises(IncompleteError) as failed:
        run(world)
    assert "1 of 3 nodes do not have /d/f: n1: its process ended" in failed.value.message
    report = failed.value.report
    assert {share.node: share.state for share in report.nodes} == {
        "n0": "done", "n1": "failed", "n2": "done",
    }  # fmt: skip
    victim.files.close_all()
    again = Worlds(tmp_path, 3)
    run(again)
    assert again.served == 0
    assert all(again.has(node) for node in again.nodes)


def test_a_worker_that_is_replaced_goes_on_from_its_disk(tmp_path):
    world = Worlds(tmp_path, 3)
    victim, when = world.nodes[1], []

    def covered(part):
        if part.start == 8 * PART and not victim.gone:
            world.lose(victim)
            when.append(world.now)

    def turn(world):
        if when and world.now > when[0] + 1:
            when.clear()
            world.join(victim.start())

    world.covered = covered
    report = run(world, turn)
    assert report.nodes["n1"].state == "done"
    assert world.served == len(DATA)
    assert all(world.has(node) for node in world.nodes)


def test_what_only_a_lost_node_had_is_fetched_again(tmp_path):
    """It took a part that nobody else could take, and then it died."""
    world = Worlds(tmp_path, 2)
    a, b = world.nodes

    def only_a(method, args):
        if method == "land_all" and not a.gone:
            return [lost_answer("the object is lost")[0:2] for _ in args[1]]
        return None

    b.before = only_a
    a.before = lambda method, args: "never" if method in ("read", "digest") else None
    lost = []

    def turn(world):
        if world.job and not world.job.open and not lost:
            lost.append(True)
            world.lose(a, listed=False)

    with pytest.raises(IncompleteError):
        run(world, turn)
    assert world.has(b)
    assert len(DATA) < world.served <= 2 * len(DATA)


def test_a_disk_that_is_full_is_that_nodes_matter(tmp_path):
    world = Worlds(tmp_path, 3)
    full = (("OutputError", "cannot write /d/f.part: the disk is full", "free some space"), None)
    world.nodes[2].before = lambda method, args: (
        [full] * len(args[1]) if method == "land_all" else None
    )
    with pytest.raises(IncompleteError) as failed:
        run(world)
    assert "n2: cannot write /d/f.part: the disk is full" in failed.value.message
    assert [str(e) for e in world.events if isinstance(e, Notice)] == [
        "n2 does not get the file: cannot write /d/f.part: the disk is full"
    ]
    assert world.has(world.nodes[0])
    assert world.has(world.nodes[1])
    assert world.served == len(DATA)


def test_where_all_disks_are_full_that_is_the_error(tmp_path):
    world = Worlds(tmp_path, 2)
    full = (("OutputError", "the disk is full", "free some space"), None)
    for node in world.nodes:
        node.before = lambda method, args: full if method == "open" else None
    with pytest.raises(OutputError, match=r"every node: n.: the disk is full; free some space"):
        run(world)
    assert world.served == 0


def test_a_file_that_is_there_is_not_replaced_unless_asked_for(tmp_path):
    world = Worlds(tmp_path, 2)
    there = world.nodes[1].path("/d/f")
    there.parent.mkdir()
    there.write_bytes(b"mine")
    with pytest.raises(IncompleteError, match=r"n1: /.*/d/f exists already"):
        run(world)
    assert there.read_bytes() == b"mine"
    assert world.has(world.nodes[0])
    skipping = Worlds(tmp_path, 2, skip_existing=True)
    assert run(skipping).nodes["n1"].state == "skipped"
    assert there.read_bytes() == b"mine"
    comparing = Worlds(tmp_path, 2, skip_existing=True, checksum=str(world.means.proof.checksum))
    with pytest.raises(IncompleteError, match=r"n1: .*/d/f has sha256"):
        run(comparing)
    replacing = Worlds(tmp_path, 2, overwrite=True)
    assert run(replacing).nodes["n1"].state == "done"
    assert replacing.has(replacing.nodes[1])
    assert replacing.served == 0


def test_where_it_is_there_on_all_of_them_that_is_the_error(tmp_path):
    world = Worlds(tmp_path, 2)
    for node in world.nodes:
        node.path("/d/f").parent.mkdir()
        node.path("/d/f").write_bytes(b"mine")
    with pytest.raises(TargetError, match="exists already"):
        run(world)


def test_only_nodes_with_the_label_get_it(tmp_path):
    world = Worlds(tmp_path, 3, nodes=["gpu=yes"])
    world.nodes[1].labels = {"gpu": "yes"}
    report = run(world)
    assert [world.has(node) for node in world.nodes] == [False, True, False]
    assert report.nodes["n1"].state == "done"
    assert report.nodes["n0"].state == ""


def test_a_label_that_no_node_has_is_told(tmp_path):
    world = Worlds(tmp_path, 2, nodes=["gpu=yes"])
    with pytest.raises(UsageError, match="no node has the label gpu=yes; none has one"):
        run(world)
    world.nodes[1].labels = {"ray.io/node-id": "1234", "pool": "cpu"}
    with pytest.raises(UsageError, match="label gpu=yes; there are pool=cpu"):
        run(world)


@pytest.mark.parametrize("method", ["open", "digest", "publish"])
def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path, method):
    world = Worlds(tmp_path, 3)
    world.nodes[0].before = lambda called, args: "never" if called == method else None
    with pytest.raises(IncompleteError, match="n0: its disk does not answer"):
        run(world)
    assert [world.has(node) for node in world.nodes] == [False, True, True]


def test_what_was_read_to_verify_it_is_told(tmp_path):
    run(Worlds(tmp_path, 2))
    world = Worlds(tmp_path, 2, verify=True)
    run(world)
    told = [event.text for event in world.events if isinstance(event, Notice)]
    assert told == [f"{node}: the file was read, and is as recorded" for node in ("n0", "n1")]


def test_wrong_bytes_get_no_name(tmp_path):
    world = Worlds(tmp_path, 2)
    other = bytearray(DATA)
    other[70_000] ^= 1
    world.data = bytes(other)  # not what was promised
    with pytest.raises(ChecksumError):
        run(world)
    assert [world.left(node) for node in world.nodes] == [[], []]


def test_without_a_digest_one_that_differs_is_dropped(tmp_path):
    world = Worlds(tmp_path, 3, proof=False)
    bad = world.nodes[1]

    def spoil(method, args):
        if method == "digest":
            file = bad.files._files[args[0]]
            return None, "0" * len(file.digest())
        return None

    bad.before = spoil
    with pytest.raises(IncompleteError, match=r"n1: its sha256 0+ is not that of the others"):
        run(world)
    assert [world.has(node) for node in world.nodes] == [True, False, True]
    assert world.left(bad) == []


def test_without_a_digest_two_that_differ_are_both_dropped(tmp_path):
    world = Worlds(tmp_path, 2, proof=False)
    bad = world.nodes[1]
    bad.before = lambda method, args: (None, "0" * 64) if method == "digest" else None
    with pytest.raises(ChecksumError):
        run(world)
    assert [world.left(node) for node in world.nodes] == [[], []]


def test_one_node_alone_needs_no_other(tmp_path):
    world = Worlds(tmp_path, 1, proof=False)
    run(world)
    assert world.has(world.nodes[0])


def test_a_node_that_never_starts_holds_nobody_up(tmp_path):
    world = Worlds(tmp_path, 3, proof=False)
    never = FakeNode("never", tmp_path / "never")
    began = world.now

    def turn(world):
        if not any(node is never for node in world.nodes):
            world.nodes.append(never)
            never.gone = True
            world.list()

    with pytest.raises(IncompleteError, match="never: no worker starts there"):
        run(world, turn)
    assert world.now - began < START_SECONDS + RETURN_SECONDS + 2
    assert all(world.has(node) for node in world.nodes[:3])
    copies = [event for event in world.events if isinstance(event, CopiesNow)][-1].copies
    assert {copy.state for copy in copies if copy.node != "never"} == {"done"}


def test_a_node_that_takes_nothing_is_not_waited_for_by_the_others(tmp_path):
    """It is frozen: it answers nothing, until it is given up."""
    world = Worlds(tmp_path, 3)
    frozen = world.nodes[2]
    frozen.before = lambda method, args: "never" if method != "open" else None
    gone = []

    def turn(world):
        if all(world.has(node) for node in world.nodes[:2]) and not gone:
            gone.append(world.now)
            world.lose(frozen, listed=False, reason="it does not answer")

    with pytest.raises(IncompleteError, match="n2: it does not answer"):
        run(world, turn)
    assert gone
    assert world.served == len(DATA)


def test_a_source_that_falls_silent_is_asked_no_more(tmp_path):
    run(Worlds(tmp_path, 2))
    world = Worlds(tmp_path, 3)
    mute = world.nodes[0]
    asked = []

    def before(method, args):
        if method == "read":
            asked.append(args)
            mute.gone = True
            return "never"
        return None

    mute.before = before
    report = run(world)
    assert asked
    assert report.nodes["n2"].state == "done"
    assert world.served == 0


def test_what_can_be_gone_on_with_is_kept_when_it_is_cancelled(tmp_path):
    world = Worlds(tmp_path, 2)
    world.covered = lambda part: world.control.cancel() if part.start == 4 * PART else None
    world.nodes[0].before = world.nodes[1].before = lambda method, args: (
        "never" if method == "digest" else None
    )
    with pytest.raises(CancelledError):
        run(world)
    assert all(world.left(node) == ["f.part", "f.part.journal"] for node in world.nodes)
    again = Worlds(tmp_path, 2)
    report = run(again)
    assert again.served + report.resumed == len(DATA)
    assert all(again.has(node) for node in again.nodes)


def test_another_version_is_fetched_anew_where_that_is_allowed(tmp_path):
    run(Worlds(tmp_path, 2))
    newer = bytes(reversed(DATA))
    with pytest.raises(TargetError, match="the file on the origin changed"):
        run(Worlds(tmp_path, 2, data=newer, etag='"2"', proof=False))
    world = Worlds(tmp_path, 2, data=newer, etag='"2"', overwrite=True, proof=False)
    run(world)
    assert all(world.has(node) for node in world.nodes)
    assert world.served == len(newer)


def test_a_pause_reaches_the_job(tmp_path):
    world = Worlds(tmp_path, 1)
    world.control.pause()
    run(world)
    assert world.job.held == [True]


def test_an_empty_file_is_there_as_well(tmp_path):
    world = Worlds(tmp_path, 2, data=b"")
    run(world)
    assert all(world.has(node) for node in world.nodes)


def test_verify_reads_what_is_there(tmp_path):
    run(Worlds(tmp_path, 2))
    world = Worlds(tmp_path, 2, verify=True, overwrite=True)
    path = world.nodes[1].path("/d/f")
    times = path.stat()
    path.write_bytes(bytes(len(DATA)))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    report = run(world)
    assert report.nodes["n0"].state == "had"
    assert report.nodes["n1"].state == "done"
    assert world.has(world.nodes[1])
    assert world.served == 0


def test_what_both_hold_in_pieces_is_put_together(tmp_path):
    """Two interrupted copies that complement each other: the origin is asked for the rest alone."""
    for node, spans in (("n0", [(0, 300_000)]), ("n1", [(200_000, 600_000)])):
        lay(tmp_path / node, spans)
    world = Worlds(tmp_path, 2)
    report = run(world)
    assert world.served == len(DATA) - 600_000
    assert report.resumed == 600_000
    assert all(world.has(node) for node in world.nodes)


def lay(folder, spans):
    (folder / "d").mkdir(parents=True)
    remote = Remote("", "", len(DATA), True, '"1"', None, "f")
    file = PlacedFile(
        folder / "d" / "f", remote, Identity.of("http://h/f"),
        algorithm=None, resume=True, overwrite=False, proven=False,
    )  # fmt: skip
    for start, stop in spans:
        file.write(start, memoryview(DATA)[start:stop])
    file.close()


def test_what_a_node_held_that_is_gone_is_not_waited_for(tmp_path):
    """It fetched them, died, and only then was it heard that it had them."""
    world = Worlds(tmp_path, 3)
    dead = world.nodes[0]
    begin = world.now

    for node in world.nodes[1:]:
        node.before = stuck_where_lost
    world.job_begins = lambda: world.lose(dead, listed=False)
    with pytest.raises(IncompleteError, match="n0: its process ended"):
        run(world)
    assert world.problems
    assert all(world.has(node) for node in world.nodes)
    assert world.now - begin < 5


def test_what_may_come_from_a_copy_that_is_gone_is_not_waited_for(tmp_path):
    """Ray asks the node that went for it, and another only after ten seconds."""
    world = Worlds(tmp_path, 3)
    world.feeds_at_once = False
    dead, waits, holder = world.nodes
    pulled = []

    def before(method, args):
        if method == "land_all" and not pulled and args[1][0][2].holder is holder:
            pulled.append(args[1][0][2])
        is_pulled = method == "land_all" and any(ref is pulled[0] for *_, ref in args[1] if pulled)
        return "stuck" if is_pulled else None

    def turn(world):
        if world.job is not None:
            world.job.feed(1)
        if pulled and not dead.gone:
            world.lose(dead, listed=False)

    waits.before = before
    begin = world.now
    with pytest.raises(IncompleteError, match="n0: its process ended"):
        run(world, turn)
    assert all(world.has(node) for node in world.nodes)
    assert world.now - begin < 6


def rot(path):
    """Another byte, with nothing to tell of it."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_copies_of_what_has_rotted_do_not_outvote_its_record(tmp_path):
    run(Worlds(tmp_path, 2, proof=False))
    world = Worlds(tmp_path, 5, proof=False)
    rot(world.nodes[0].path("/d/f"))
    with contextlib.suppress(IncompleteError):
        run(world)
    assert world.has(world.nodes[1])
    for node in world.nodes[2:]:
        assert world.has(node) or not node.path("/d/f").exists()


def test_a_digest_of_what_a_lost_worker_had_gives_nothing_its_name(tmp_path):
    world = Worlds(tmp_path, 3)
    victim, other, came = world.nodes[1], world.nodes[2], []
    victim.before = lambda method, args: "never" if method == "publish" else None

    def turn(world):
        if not victim.gone and "publish" in {method for method, _ in victim.calls}:
            world.lose(victim)
            after = victim.start()
            shutil.rmtree(after.folder / "d")
            after.files = NodeFiles(lambda ref, _: memoryview(bytes(len(ref))), lambda refs: None)
            came.append(after)
            world.join(after)
        if came and not other.gone and "digest" in {method for method, _ in came[0].calls}:
            world.lose(other)  # all are judged anew

    with pytest.raises(IncompleteError, match=r"n1: .* has sha256"):
        run(world, turn)
    assert not came[0].path("/d/f").exists()


def test_a_disk_that_answers_no_read_is_left(tmp_path):
    run(Worlds(tmp_path, 2))
    world = Worlds(tmp_path, 4)
    world.nodes[0].before = lambda method, args: "never" if method == "read" else None
    with pytest.raises(IncompleteError, match="n0: its disk does not answer"):
        run(world)
    assert world.served == 0
    assert all(world.has(node) for node in world.nodes)


@pytest.mark.parametrize("proof", [True, False])
def test_a_disk_that_takes_nothing_is_left(tmp_path, proof):
    world = Worlds(tmp_path, 2, proof=proof)
    world.nodes[1].before = lambda method, args: "never" if method == "land_all" else None
    with pytest.raises(IncompleteError, match="n1: its disk does not answer"):
        run(world)
    assert world.has(world.nodes[0])


def test_who_reads_its_file_for_long_is_waited_for(tmp_path):
    run(Worlds(tmp_path, 3))
    world = Worlds(tmp_path, 3, verify=True)
    began = world.now
    for node in world.nodes:
        node.frozen = True

    def turn(world):
        if world.now - began > 30:
            for node in world.nodes:
                node.thaw()

    assert run(world, turn).skipped


def test_workers_that_start_late_are_waited_for(tmp_path):
    world = Worlds(tmp_path, 3)
    late, world.nodes, began = world.nodes, [], world.now

    def turn(world):
        if not world.nodes:
            world.listen(Listed({node.node: {} for node in late}))
        if world.now - began > 15 and not world.nodes:
            world.nodes = late
            for node in late:
                world.join(node)

    run(world, turn)
    assert all(world.has(node) for node in late)


def test_ray_that_was_started_anew_on_a_host_is_not_a_node_that_lacks_the_file(tmp_path):
    world = Worlds(tmp_path, 3)
    world.feeds_at_once = False
    old = world.nodes[1]

    def turn(world):
        if world.job is not None and not old.gone and world.now > 102:
            after = old.start()
            after.node = "n1#new"
            world.lose(old, listed=False)
            world.join(after)
            world.job.fetchers = world.nodes
        if old.gone:
            world.job.feed(100)

    report = run(world, turn)
    assert sorted(share.node for share in report.nodes) == ["n0", "n1#new", "n2"]
    assert all(world.has(node) for node in world.nodes)


def stuck_where_lost(method, args):
    """What lies on a node that is gone or frozen does not come until it is forgotten."""
    if method == "land_all" and any(ref.holder.gone or ref.holder.frozen for *_, ref in args[1]):
        return "stuck"
    return None


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_to_nodes_it_ends_and_no_byte_is_wrong(tmp_path, seed, monkeypatch):
    """Workers die and come back, nodes freeze and thaw, objects are lost with their node."""
    for module in (everynode, replicas):
        monkeypatch.setattr(module, "PIECE", 2 * PART)
    dice = random.Random(seed)
    world = Worlds(tmp_path, dice.randint(2, 5), proof=dice.random() < 0.5, max_memory="1MiB")
    world.feeds_at_once = False
    trouble, back = dice.choice([0, 0.02, 0.1]), []

    for node in world.nodes:
        node.before = stuck_where_lost

    def turn(world):
        if world.job is not None:
            world.job.fetchers = [n for n in world.nodes if not n.gone] or world.nodes
            world.job.feed(dice.randint(0, 3))
        for node in list(world.nodes):
            if dice.random() > trouble or world.now > 130:
                continue
            if node.frozen:
                node.thaw()
            elif dice.random() < 0.5 and not node.gone:
                node.frozen = True
                back.append((world.now + dice.choice([0.3, 1, 4]), node.thaw))
            elif not node.gone:
                world.lose(node)
                after = node.start()
                after.before = stuck_where_lost
                back.append((world.now + dice.choice([0.2, 1, 3]), partial(world.join, after)))
        for item in [item for item in back if item[0] <= world.now]:
            back.remove(item)
            item[1]()

    try:
        run(world, turn)
    except IncompleteError as error:
        have = {share.node for share in error.report.nodes if share.state == "done"}
    else:
        have = {node.node for node in world.nodes}
    for node in world.nodes:
        assert world.has(node) or node.node not in have
        assert world.has(node) or not node.path("/d/f").exists()


def test_what_was_on_its_way_to_a_lost_node_alone_is_fetched_again(tmp_path, monkeypatch):
    """The other one had no room for it."""
    for module in (everynode, replicas):
        monkeypatch.setattr(module, "PIECE", PART)
    world = Worlds(tmp_path, 2, max_memory="1MiB")
    lost, full = world.nodes
    landed = []
    lost.before = lambda method, args: (
        "never" if method == "land_all" and args[1][-1][0] >= 4 * PART else None
    )
    full.before = lambda method, args: "stuck" if method == "land_all" and not landed else None

    def turn(world):
        if world.now > 101 and not lost.gone:
            world.lose(lost, listed=False)
            landed.append(True)

    with pytest.raises(IncompleteError, match="n0"):
        run(world, turn)
    assert world.has(full)


class Unreachable:
    """Makes what lies on some nodes not come to others: told after a minute, as workers do."""

    def __init__(self, world, is_cut):
        self.world, self.is_cut, self.later = world, is_cut, []
        for node in world.nodes:
            node.disk = partial(self.disk, node, node.disk)

    def disk(self, node, disk, method, *args, done):
        items = args[1] if method == "land_all" else []
        stuck = [self.is_cut(ref.holder.node, node.node) for *_, ref in items]
        if not any(stuck):
            disk(method, *args, done=done)
            return
        first = stuck.index(True)
        reasons = [MISSING if at == first else LATE for at in range(len(items))]

        def answer():
            answers = [
                ((LOST, reason, ""), None) if is_stuck else node.files.land(args[0], a, b, [ref], 1)
                for (a, b, ref), is_stuck, reason in zip(items, stuck, reasons, strict=True)
            ]
            done(answers)

        self.later.append((self.world.now + 60, answer))

    def turn(self, world):
        for entry in [entry for entry in self.later if entry[0] <= world.now]:
            self.later.remove(entry)
            entry[1]()


def test_a_node_from_which_nothing_comes_holds_nobody_up(tmp_path):
    world = Worlds(tmp_path, 4)
    cut = Unreachable(world, lambda holder, taker: holder == "n0" != taker)
    run(world, cut.turn)
    assert [world.has(node) for node in world.nodes] == [True] * 4
    assert world.served < 2 * len(DATA)
    told = [event.text for event in world.events if isinstance(event, Notice)]
    assert told == ["n0 is no source for others: nothing comes from it to the other nodes"]


def test_a_node_to_which_nothing_comes_is_named(tmp_path):
    world = Worlds(tmp_path, 4)
    cut = Unreachable(world, lambda holder, taker: taker == "n3" != holder)
    with pytest.raises(IncompleteError, match=r"1 of 4 .*n3: nothing comes to it from other nodes"):
        run(world, cut.turn)
    assert [world.has(node) for node in world.nodes] == [True, True, True, False]


def test_of_two_nodes_the_one_to_which_nothing_comes_is_named(tmp_path):
    world = Worlds(tmp_path, 2)
    cut = Unreachable(world, lambda holder, taker: taker == "n1" != holder)
    with pytest.raises(IncompleteError, match="n1: nothing comes to it"):
        run(world, cut.turn, most=4000)
    assert [world.has(node) for node in world.nodes] == [True, False]


def test_the_time_in_which_the_driver_stood_still_does_not_count(tmp_path):
    world = Worlds(tmp_path, 3)
    later, stopped = [], []
    for node in world.nodes:

        def disk(method, *args, done, disk=node.disk):
            later.append((world.now + 0.35, partial(disk, method, *args, done=done)))

        node.disk = disk

    def turn(world):
        if world.job is not None and not stopped:
            stopped.append(world.now)
            world.now += 200
            return
        for entry in [entry for entry in later if entry[0] <= world.now]:
            later.remove(entry)
            entry[1]()

    report = run(world, turn)
    assert stopped
    assert all(world.has(node) for node in world.nodes)
    assert report.seconds < 100


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_who_has_the_file_has_it_whatever_its_next_worker_says(tmp_path, how):
    world = Worlds(tmp_path, 3)
    first = world.nodes[0]

    def turn(world):
        if world.has(first) and not first.gone:
            for path in first.folder.rglob(".f.raydl"):
                path.unlink()
            world.lose(first)
            after = first.start()
            after.before = lambda method, args: (
                "never" if how == "hangs" and method == "open" else None
            )
            world.join(after)

    slow = world.nodes[2]
    slow.before = lambda method, args: "never" if method == "digest" and world.now < 195 else None
    with contextlib.suppress(IncompleteError):  # of the one that was only to be slow
        run(world, turn)
    told = [event.text for event in world.events if isinstance(event, Notice)]
    assert first.gone
    assert not any("n0 does not get the file" in text for text in told)


def test_a_copy_that_is_being_opened_is_closed_with_the_others(tmp_path):
    world = Worlds(tmp_path, 2)
    world.nodes[1].before = lambda method, args: "never" if method == "open" else None

    def turn(world):
        if world.has(world.nodes[0]):
            world.control.cancel()

    with pytest.raises(CancelledError):
        run(world, turn)
    assert [method for method, _ in world.nodes[1].calls] == ["open", "close"]


def test_two_containers_at_one_address_are_two_nodes(tmp_path):
    world = Worlds(tmp_path, 3)
    world.feeds_at_once = False
    world.nodes[1].node, world.nodes[2].node = "h#aaaa", "h#bbbb"

    def turn(world):
        if world.job is not None and not world.nodes[-1].gone:
            if world.nodes[-1].node == "h#bbbb":
                world.lose(world.nodes[-1], listed=False)
            world.job.feed(100)

    with pytest.raises(IncompleteError, match="h#bbbb"):
        run(world, turn)


@pytest.mark.parametrize("proof", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_what_has_rotted_is_read_before_a_copy_of_it_is_blamed(tmp_path, proof, count):
    run(Worlds(tmp_path, count, proof=proof))
    world = Worlds(tmp_path, count, proof=proof)
    rot(world.nodes[1].path("/d/f"))
    shutil.rmtree(world.nodes[0].path("/d"))
    why = r"n1: .*does not have its digest any more"
    with pytest.raises(IncompleteError, match=why) as lacking:
        run(world)
    assert "n0" not in str(lacking.value).partition(": ")[0]
    assert "--overwrite replaces it" in lacking.value.hint
    assert world.has(world.nodes[0])
    after = Worlds(tmp_path, count, proof=proof)
    with pytest.raises(IncompleteError, match=r"n1: .*exists already"):
        run(after)
    mended = Worlds(tmp_path, count, proof=proof, overwrite=True)
    run(mended)
    assert all(mended.has(node) for node in mended.nodes)


def test_a_rotten_file_whose_worker_is_lost_ends_nothing(tmp_path):
    run(Worlds(tmp_path, 3, proof=False))
    world = Worlds(tmp_path, 3, proof=False)
    rotten = world.nodes[1]
    rot(rotten.path("/d/f"))
    shutil.rmtree(world.nodes[0].path("/d"))
    shutil.rmtree(world.nodes[2].path("/d"))
    answers = []
    taker = world.nodes[0]

    def disk(method, *args, done, disk=taker.disk):
        if method == "digest" and not rotten.gone:
            answers.append(partial(disk, method, *args, done=done))
            world.lose(rotten)
        else:
            disk(method, *args, done=done)

    taker.disk = disk

    def turn(world):
        for answer in answers:
            answer()
        answers.clear()

    with contextlib.suppress(IncompleteError):
        run(world, turn)
    assert rotten.gone
    for node in (world.nodes[0], world.nodes[2]):
        assert world.has(node) or not node.path("/d/f").exists()


def test_a_disk_that_hangs_while_a_copy_begins_anew(tmp_path):
    run(Worlds(tmp_path, 2))
    world = Worlds(tmp_path, 2)
    rot(world.nodes[1].path("/d/f"))
    shutil.rmtree(world.nodes[0].path("/d"))
    world.nodes[0].before = lambda method, args: "never" if method == "drop" else None
    with pytest.raises(IncompleteError, match="n0: its disk does not answer"):
        run(world, most=4000)


def test_where_only_a_node_that_is_cut_off_can_fetch(tmp_path):
    world = Worlds(tmp_path, 3)
    cut = Unreachable(world, lambda holder, taker: holder == "n0" != taker)

    def job_begins():
        job, give = world.job, world.job.give

        def only_one(part):
            world.problems.clear()  # for which it would choose others
            job.fetchers = [world.nodes[0]]
            give(part)

        job.give = only_one

    world.job_begins = job_begins
    with pytest.raises(IncompleteError, match=r"2 of 3 .*nothing comes to it"):
        run(world, cut.turn, most=6000)
    assert world.has(world.nodes[0])
    assert world.served < 5 * len(DATA)
