"""What commands print of what they found, for people and as JSON."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raydl.cli.flags import default_text
from raydl.model.remote import Remote
from raydl.model.units import format_size, printable
from raydl.settings.config import Setting
from raydl.settings.options import Options, option_fields

if TYPE_CHECKING:
    from raydl.cluster.session import Node


def show_remote(remote: Remote, as_json: bool) -> None:
    """Print what an origin offers."""
    record = remote.to_dict()
    if as_json:
        print(json.dumps(record))
        return
    size = (
        "not told" if remote.size is None else f"{format_size(remote.size)} ({remote.size:,} bytes)"
    )
    ranges = "yes: many parts at once" if remote.ranges else f"no: {remote.why_no_ranges}"
    resume = "yes" if remote.validator else "only with --checksum"
    rows = [
        ("name", remote.name),
        ("size", size),
        ("byte ranges", ranges),
        ("ETag", remote.etag or "none that proves anything"),
        ("Last-Modified", remote.last_modified or _in_doubt(remote)),
        ("resume", resume if remote.ranges else "no"),
        ("final URL", record["final_url"]),
    ]
    for label, text in rows:
        print(f"{label:<14} {printable(text)}")


def _in_doubt(remote: Remote) -> str:
    date = remote.weak_date
    return f"{date} (too recent to prove anything)" if date else "none"


def show_nodes(found: Sequence[Node], options: Options, as_json: bool) -> None:
    """Print a cluster's nodes, and what would be used of each."""
    lanes = "measured" if options.connections is None else options.connections
    records: list[dict[str, Any]] = [
        {
            "node": node.name,
            "host": node.host,
            "this_machine": node.is_driver,
            "head": node.is_head,
            "lanes": lanes if options.fetch_here or not node.is_driver else 0,
            "object_store": node.object_store,
            "labels": dict(sorted(node.labels.items())),
        }
        for node in found
    ]
    if as_json:
        print(json.dumps(records))
        return
    if not records:
        print("no Ray cluster: raydl uses this machine alone")
        print("start one with `raydl coordinator`, or give --address HOST:PORT")
        return
    rows = [("node", "connections", "object store", "role", ["labels"])]
    for record in records:
        roles = [word for word in ("head", "this_machine") if record[word]]
        role = ", ".join(roles).replace("_", " ") or "worker"
        labels = [f"{key}={value}" for key, value in _given(record["labels"])]
        store = format_size(record["object_store"])
        rows.append((record["node"], str(record["lanes"]), store, role, labels))
    nodes, roles_there = zip(*((row[0], row[3]) for row in rows), strict=True)
    wide, wider = max(map(len, nodes)), max(map(len, roles_there))
    for node, lanes, store, role, labels in rows:
        line = f"{node:<{wide}}  {lanes:>11}  {store:>12}  {role:<{wider}}"
        print(_with_labels(line, [printable(label) for label in labels]))


def _with_labels(line: str, labels: Sequence[str]) -> str:
    """The line with labels at its end, or below it, where a terminal has no room for them."""
    whole = "  ".join([line, *labels]).rstrip()
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else len(whole)
    if len(whole) <= columns:
        return whole
    indent = "    "
    below = textwrap.wrap(
        "  ".join(labels),
        columns,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join([line.rstrip(), *below])


def _given(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    """The labels but for the id, which Ray gives every node."""
    return [pair for pair in sorted(labels.items()) if pair[0] != "ray.io/node-id"]


def show_settings(found: Mapping[str, Setting], as_json: bool) -> None:
    """Print the options in force, and where each comes from."""
    if as_json:
        plain = {k: {"value": _shown(k, s.value), "where": s.where} for k, s in found.items()}
        print(json.dumps(plain))
        return
    width = max(map(len, found))
    for name, setting in found.items():
        value = _shown(name, setting.value)
        shown = default_text(name, value) or ("unset" if value is None else str(value).lower())
        print(f"{name:<{width}}  {shown:<10}  {setting.where}")


def _shown(name: str, value: Any) -> Any:
    """An option's value as plain data; not the value of one that may hold a secret."""
    if option_fields()[name].metadata["secret"] and value:
        return "(not shown)"
    if value == ():
        return None
    return value if value is None or isinstance(value, bool | int | float) else str(value)
