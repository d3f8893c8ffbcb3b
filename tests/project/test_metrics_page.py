"""docs/metrics.md names every metric, label and label value of a real scrape, and no others."""

import re
from collections import defaultdict
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import free_port
from tests.support.running_app import running_app

OPEN_SETS = ("method", "route", "status", "kid", "use", "state", "version", "le")
CODE = re.compile(r"`([^`]+)`")


def documented(root: Path) -> dict[str, tuple[str, dict[str, set[str]]]]:
    """Each metric: its type, and its labels with their closed sets."""
    page = (root / "docs" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| (`\w+`.*?) \| (\S+) \| (.+?) \| ", page, re.MULTILINE)
    return {
        name: (kind, labels_of(cell)) for names, kind, cell in rows for name in CODE.findall(names)
    }


def labels_of(cell: str) -> dict[str, set[str]]:
    label, colon, values = cell.partition(": ")
    if colon:
        return {CODE.findall(label)[0]: set(CODE.findall(values))}
    return {name: set() for name in CODE.findall(cell)}


async def scraped(folder: Path) -> dict[str, tuple[str, dict[str, set[str]]]]:
    port = free_port()
    async with running_app(folder, metrics_port=port, host="127.0.0.1") as app:
        tokens = await app.log_in()
        await app.get("/v1/me", tokens)
        async with httpx.AsyncClient(trust_env=False) as prometheus:
            text = (await prometheus.get(f"http://127.0.0.1:{port}/metrics")).text
    found = {}
    for family in text_string_to_metric_families(text):
        labels: dict[str, set[str]] = defaultdict(set)
        for sample in family.samples:
            for label, value in sample.labels.items():
                labels[label] |= set() if label in OPEN_SETS else {value}
        labels.pop("le", None)
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = ("process" if name.startswith("process_") else family.type, dict(labels))
    return found


async def test_the_page_describes_every_metric_of_a_scrape(root: Path, tmp_path: Path) -> None:
    assert documented(root) == await scraped(tmp_path)
