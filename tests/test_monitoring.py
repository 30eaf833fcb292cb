"""What a node's agent shows to Prometheus of a real download, and what the documents say of it."""

import json
import re
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.request import urlopen

import pytest

import raydl
from raydl.model.metrics import (
    COUNTER,
    FETCHED,
    HISTOGRAM,
    IN_FLIGHT,
    LANES,
    METRICS,
    RETRIES,
    SECONDS,
)
from tests.conftest import random_bytes, run_raydl
from tests.rayhome import free_port
from tests.scripted import status

DOCS = Path(__file__).parent.parent / "docs"


def exported():
    """The series as Ray exports them, each with the labels that raydl gives it."""
    found = {}
    for name, kind, labels, _, _ in METRICS:
        if kind == HISTOGRAM:
            found[f"ray_{name}_bucket"] = {*labels, "le"}
            found[f"ray_{name}_sum"] = found[f"ray_{name}_count"] = set(labels)
        else:
            found[f"ray_{name}"] = set(labels)
    return found


def names_in(text):
    return set(re.findall(r"\bray_raydl_\w+", text))


def board():
    return json.loads((DOCS / "grafana.json").read_text())


def targets():
    """What the panels of the dashboard ask."""
    return [target for panel in board()["panels"] for target in panel["targets"]]


def labels_in(query):
    """What a query groups by, or selects."""
    grouped = re.findall(r"\b(?:by|without|on) ?\(([^)]*)\)", query)
    selected = re.findall(r"(\w+)\s*(?:=~?|!=|!~)\s*\"", query)
    return {each.strip() for group in grouped for each in group.split(",")} | set(selected)


def test_names_are_prometheus_s():
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == COUNTER)
        assert re.fullmatch(r"raydl_[a-z_]+", metric.name)
        assert bool(metric.bounds) == (metric.kind == HISTOGRAM)
        for unit in ("bytes", "seconds"):
            assert (unit in metric.name) == metric.description.lower().startswith(unit)


def test_the_page_tells_of_each_metric_and_label():
    page = (DOCS / "monitoring.md").read_text()
    listed = re.findall(r"^- `ray_(\w+)` \((\w+); (.*?)\): ", page, re.MULTILINE)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in listed}
    assert told == {metric.name: (metric.kind, metric.labels) for metric in METRICS}
    assert names_in(page) - set(exported()) == {"ray_raydl_part_seconds"}


def test_the_page_and_the_dashboard_ask_for_what_there_is():
    page = (DOCS / "monitoring.md").read_text()
    asked = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    assert asked
    series = exported()
    for query in (*asked, *(target["expr"] for target in targets())):
        names = names_in(query)
        assert names, query
        for name in names:
            assert labels_in(query) <= series[name], query
    for target in targets():
        shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert shown <= labels_in(target["expr"]), target["legendFormat"]


def test_the_dashboard_shows_every_metric():
    shown = {name for target in targets() for name in names_in(target["expr"])}
    for name, kind, *_ in METRICS:
        assert f"ray_{name}{'_bucket' if kind == HISTOGRAM else ''}" in shown


def test_the_dashboard_can_be_imported():
    panels, variables = board()["panels"], board()["templating"]["list"]
    assert board()["id"] is None  # else it would replace a dashboard of that number
    (source,) = (each["name"] for each in variables if each["type"] == "datasource")
    assert len({panel["id"] for panel in panels}) == len(panels)
    for where in (*panels, *targets()):
        assert where["datasource"] == {"type": "prometheus", "uid": f"${{{source}}}"}


def scrape(port):
    """Every series of raydl: its value, by name and by the labels that are not Ray's own."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = defaultdict(float)
    for name, labels, value in re.findall(r"^(ray_raydl_\w+){(.*)} (\S+)$", text, re.MULTILINE):
        known = exported()[name]
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)
        found[name, tuple(sorted((k, v) for k, v in pairs if k in known))] += float(value)
    return found, text


def until(port, condition, seconds=60.0):
    end = time.monotonic() + seconds
    while True:
        try:
            found, text = scrape(port)
        except OSError:  # the agent takes some seconds to start
            found, text = {}, ""
        if condition(found):
            return found, text
        assert time.monotonic() < end, text
        time.sleep(0.2)


def total(found, metric, part=""):
    return sum(value for (name, _), value in found.items() if name == f"ray_{metric.name}{part}")


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_agent_shows_a_download(own_nodes, make_origin, tmp_path):
    pytest.importorskip("prometheus_client")  # of ray[default], which brings the agents
    port = free_port()
    soon = {"metrics_report_interval_ms": 500}
    nodes = own_nodes(2, metrics_export_port=port, _system_config=soon)
    origin = make_origin(random_bytes(12_000_000))
    was_seen = threading.Event()
    origin.on(status(503), times=2)
    origin.on(lambda handler, seen: was_seen.wait(60) and False, None)
    url = origin.url().replace("://", "://me:secret-word@") + "?token=secret-word"
    download = raydl.start(
        url, tmp_path / "f", address=nodes.address, fetch_here=False, timeout=60, progress="none"
    )
    until(port, lambda found: total(found, LANES) and total(found, IN_FLIGHT))
    was_seen.set()
    report = download.result(120)
    raydl.disconnect()
    found, text = until(port, lambda found: total(found, FETCHED) == report.fetched)
    assert report.fetched == len(origin.data)
    by_node = defaultdict(float)
    for (name, labels), value in found.items():
        if name == f"ray_{FETCHED.name}":
            labels = dict(labels)
            assert labels["origin"] == origin.url().split("/")[2]
            assert labels["destination"] == "here"
            by_node[labels["node"]] += value
    assert by_node == {share.node: share.bytes for share in report.nodes}
    assert total(found, RETRIES) == report.retries
    assert total(found, SECONDS, "_count") > 0
    assert total(found, LANES) == total(found, IN_FLIGHT) == 0
    for metric in METRICS:
        if f"ray_{metric.name}" in text:
            assert f"# HELP ray_{metric.name} {metric.description}" in text
    assert "secret" not in text
    ours = [line for line in text.splitlines() if "ray_raydl" in line]  # Ray's own name its calls
    assert ours
    assert "file.bin" not in "".join(ours)
    done = run_raydl(
        "fetch", origin.url(), "-o", "again", "--address", nodes.address, "--no-fetch-here",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    until(port, lambda found: total(found, FETCHED) == 2 * len(origin.data), 5)  # sent at its end
