"""Facts to rows: pure, so that each judgement can be tried without what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raydl.doctor.facts import MachineFacts, NodeFacts, Reach, Room
from raydl.doctor.rows import HERE, Row, doubtful, fine, wrong
from raydl.model.errors import ClusterError, OutputError
from raydl.model.remote import Remote
from raydl.model.units import format_duration, format_size

LEAST_FILES = 1024
"""Files that a process may have open: a request takes up to three, for its socket and a pipe, and
there may be 256 a node. It is what Linux gives by default."""

LEAST_DISK = 1 << 30

FULL_FOR_RAY = 0.95
"""From this share on Ray writes no object to a disk (``local_fs_capacity_threshold``)."""

LEAST_STORE = 256 << 20
"""A quarter of it may be in flight: with less, not even one part of 64 MiB, the largest."""

MOST_SKEW = 30.0
"""Seconds. A URL may be signed for minutes, and a certificate may have begun to hold today."""


def exit_code(rows: Iterable[Row]) -> int:
    """That of the first problem; 0 without one."""
    return next((row.code for row in rows if row.code), 0)


def judge_machine(facts: MachineFacts, directory: str) -> list[Row]:
    """This machine; ``directory`` is where files would be saved, empty where it is gone."""
    ray = f"{facts.ray}, Python {facts.python}"
    rows = [
        fine(HERE, "Ray", ray)
        if facts.ray
        else doubtful(HERE, "Ray", "not installed: no cluster can be used", "pip install ray")
    ]
    disk = _disk(HERE, facts.disk)
    if not directory:
        disk = wrong(HERE, "disk", OutputError("the working directory is gone", "cd to another"))
    elif disk is None and facts.disk is not None:
        rows.append(fine(HERE, "disk", f"{format_size(facts.disk.free)} free in {directory}"))
    rows += filter(None, [disk])
    files = _files(HERE, facts.files)
    if files is None and facts.files is not None:
        rows.append(fine(HERE, "open files", f"up to {facts.files:,}"))
    return [*rows, *filter(None, [files])]


def judge_extras(here: Sequence[str], missing: Sequence[str]) -> Row:
    """Which extras are installed."""
    text = ", ".join(here) or "none"
    return fine(HERE, "extras", f"{text}; not here: {', '.join(missing)}" if missing else text)


def judge_token(has_token: bool, why_unused: str, wants_token: bool | None) -> Row:
    """This machine's token; ``wants_token`` is what the head says, None where there is none."""
    if why_unused:
        found, _, mend = why_unused.partition("; ")
        return doubtful(HERE, "token", found, mend)
    text = "this machine has one" if has_token else "this machine has none"
    if wants_token is None:
        return fine(HERE, "token", text)
    if wants_token:
        return fine(HERE, "token", f"{text}, and the head takes it")
    return fine(HERE, "token", f"{text}; the head lets in whoever reaches its ports")


def judge_alone(note: str, is_gone: bool) -> Row:
    """A machine without a cluster; ``is_gone``: it had one."""
    if is_gone:
        mend = "`raydl coordinator` starts one here; --address HOST:PORT is another"
        return doubtful(HERE, "cluster", note, mend)
    return fine(HERE, "cluster", f"{note}; --to every-node needs one")


def judge_node(facts: NodeFacts, driver: MachineFacts) -> list[Row]:
    """A node, as one that this machine would have fetch."""
    where, machine = facts.name, facts.machine
    rows = [_ports(where, facts.closed, "its")] if facts.closed else []
    if machine is None:
        mend = "look at Ray there; other nodes do its work, and `raydl fetch` goes on without it"
        return [*rows, wrong(where, "answer", ClusterError(facts.silence, mend))]
    if facts.closed_here:
        rows.append(_ports(where, facts.closed_here, "from there this machine's"))
    store = doubtful(
        where, "object store", f"{format_size(facts.store)}: few bytes can be in flight",
        "ray start --object-store-memory=BYTES, a GiB or more",
    ) if facts.store < LEAST_STORE else None  # fmt: skip
    rows += filter(None, [
        _versions(where, machine, driver),
        _skew(where, facts.ahead, facts.give),
        _disk(where, machine.disk),
        store,
        _shared_memory(where, machine.shared_memory, facts.store),
        _files(where, machine.files),
    ])  # fmt: skip
    parts = [f"Ray {machine.ray}, Python {machine.python}", f"store {format_size(facts.store)}"]
    if machine.disk is not None:
        parts.append(f"disk {format_size(machine.disk.free)} free")
    return [fine(where, "node", "; ".join(parts)), *rows]


def judge_remote(where: str, remote: Remote, reach: Reach) -> list[Row]:
    """An origin, as this machine sees it."""
    size = "of unknown size" if remote.size is None else format_size(remote.size)
    took = f"{size}, first byte after {format_duration(reach.seconds)}"
    if not remote.ranges:
        why = remote.why_no_ranges
        return [
            doubtful(where, "URL", f"{took}; no byte ranges: {why}", "it comes in one stream, here")
        ]
    rows = [judge_reach(where, reach, took)]
    if remote.validator is None:
        rows.append(
            doubtful(
                where, "URL", "the origin states no version: a change may go unnoticed",
                "--checksum would prove the bytes",
            )
        )  # fmt: skip
    return rows


def judge_reach(where: str, reach: Reach, what: str = "") -> Row:
    """An origin, as one machine sees it that asks for a byte."""
    if reach.failure is not None:
        return wrong(where, "URL", reach.failure.to_error())
    return fine(where, "URL", f"{what or _first_byte(reach)}, byte ranges")


def _first_byte(reach: Reach) -> str:
    return f"first byte after {format_duration(reach.seconds)}"


def _ports(where: str, closed: tuple[int, ...], whose: str) -> Row:
    ports = f"port{'s' if len(closed) > 1 else ''} {' and '.join(map(str, closed))}"
    return wrong(
        where, "ports",
        ClusterError(
            f"{whose} {ports} cannot be reached",
            "open them in the firewall; `ray start --node-manager-port=N --object-manager-port=M` "
            "chooses them",
        ),
    )  # fmt: skip


def _versions(where: str, there: MachineFacts, here: MachineFacts) -> Row | None:
    if there.ray != here.ray:
        return wrong(
            where, "Ray",
            ClusterError(
                f"Ray {there.ray}, here {here.ray}", f'there: pip install "ray=={here.ray}"'
            ),
        )  # fmt: skip
    if there.python.split(".")[:2] != here.python.split(".")[:2]:
        return wrong(
            where, "Python",
            ClusterError(f"Python {there.python}, here {here.python}", "the same on all machines"),
        )  # fmt: skip
    if there.python != here.python:
        return doubtful(
            where, "Python", f"Python {there.python}, here {here.python}",
            "the same on all machines, as Ray wants it",
        )  # fmt: skip
    return None


def _skew(where: str, ahead: float, give: float) -> Row | None:
    if abs(ahead) - give <= MOST_SKEW:
        return None
    return doubtful(
        where, "clock",
        f"{format_duration(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's",
        "have NTP set it: certificates and signed URLs hold for a time",
    )  # fmt: skip


def _disk(where: str, disk: Room | None) -> Row | None:
    if disk is None:
        return None
    is_full = where != HERE and disk.free < disk.total * (1 - FULL_FOR_RAY)
    if disk.free >= LEAST_DISK and not is_full:
        return None
    whose = "working directory" if where == HERE else "directory of Ray"
    return doubtful(
        where, "disk", f"{format_size(disk.free)} free in its {whose}", "make room there"
    )


def _shared_memory(where: str, room: Room | None, store: int) -> Row | None:
    if room is None or room.total >= store:
        return None
    return doubtful(
        where, "object store",
        f"/dev/shm has {format_size(room.total)} for {format_size(store)}: it lies on the disk",
        "docker run --shm-size, or a volume in memory at /dev/shm",
    )  # fmt: skip


def _files(where: str, files: int | None) -> Row | None:
    if files is None or files >= LEAST_FILES:
        return None
    return doubtful(
        where, "open files", f"no more than {files}",
        "`ulimit -n 65536`" + ("" if where == HERE else " before `ray start`"),
    )  # fmt: skip
