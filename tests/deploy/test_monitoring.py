"""Alert rules fire when they should, and every expression of the dashboard has a result."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.project.test_metrics_page import documented
from tests.support.processes import ROOT, listens
from tests.support.programs import program, run, started
from tests.support.running_app import RunningApp, running_app
from tests.support.transports import Dated
from tests.support.valkey import ports

FOLDER = ROOT / "deploy/monitoring"
CASES = ROOT / "tests/deploy/alerts.test.yaml"
WINDOW = "4s"
SELECTOR = re.compile(r"\b((?:ticketgate|process)_\w+?)(_bucket)?(?:\{(.*?)\}|\b(?!\w))")
MATCHER = re.compile(r'(\w+)[=!]~?"([^"]*)"')


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def rules() -> list[dict[str, Any]]:
    (group,) = load(FOLDER / "alerts.yaml")["groups"]
    return list(group["rules"])


def expressions() -> Iterator[str]:
    for panel in json.loads((FOLDER / "dashboard.json").read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def test_each_alert_stays_quiet_and_then_fires() -> None:
    tested = run("promtool", "test", "rules", CASES)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_alert_has_a_case_that_is_quiet_and_one_that_fires(
    rules: list[dict[str, Any]],
) -> None:
    cases = [case for test in load(CASES)["tests"] for case in test["alert_rule_test"]]
    for fires in (True, False):
        covered = {each["alertname"] for each in cases if bool(each["exp_alerts"]) == fires}
        assert covered == {rule["alert"] for rule in rules}


def test_alerts_and_dashboard_name_metrics_and_label_values_that_exist(
    rules: list[dict[str, Any]],
) -> None:
    known = documented(ROOT)
    for expression in (*(rule["expr"] for rule in rules), *expressions()):
        for name, _, matchers in SELECTOR.findall(expression):
            _, labels = known[name]
            for label, pattern in MATCHER.findall(matchers):
                values = labels.get(label) or {pattern}
                for word in pattern.split("|") if label != "job" else ():
                    assert any(re.fullmatch(word, value) for value in values), (name, word)


def test_prometheus_accepts_the_configuration_for_compose() -> None:
    checked = run("promtool", "check", "config", FOLDER / "prometheus.yaml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_scrapes_the_ports_that_compose_publishes() -> None:
    (job,) = load(FOLDER / "prometheus.yaml")["scrape_configs"]
    (scraped,) = job["static_configs"]
    services = load(FOLDER / "compose.yaml")["services"]
    fleet = set(load(ROOT / "deploy/compose.yaml")["services"])
    published = []
    for service in services.values():
        (port,) = service["ports"]
        address, inside = port.rsplit(":", 1)
        assert service["environment"] == {"METRICS_PORT": inside}
        published.append(address)
    assert published == scraped["targets"]
    assert set(services) == {name for name in fleet if name.startswith("ticketgate")}


def test_each_alert_leads_to_its_section_of_the_runbook(rules: list[dict[str, Any]]) -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    titles = re.findall(r"^### (Alarm: .+)$", page, re.MULTILINE)
    anchors = [title.lower().replace(":", "").replace(" ", "-") for title in titles]
    linked = [rule["annotations"]["runbook_url"].split("/docs/operations.md#")[1] for rule in rules]
    assert anchors == linked


@asynccontextmanager
async def prometheus(folder: Path, scraped: int) -> AsyncIterator[httpx.AsyncClient]:
    """A real Prometheus that scrapes this port twice a second."""
    job = {"job_name": "ticketgate", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}
    config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [job]}
    (folder / "prometheus.yaml").write_text(json.dumps(config))
    with ports.reserve() as mark:
        port = ports.number(mark)
        command = [
            program("prometheus"),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        with started(command, folder / "log", lambda: listens(port)):
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                yield client


async def values(client: httpx.AsyncClient, expression: str) -> list[float]:
    expression = expression.replace("$__rate_interval", WINDOW).replace("$job", "ticketgate")
    response = await client.get("/api/v1/query", params={"query": expression})
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:  # it still begins
        return []
    response.raise_for_status()
    found = [float(series["value"][1]) for series in response.json()["data"]["result"]]
    return [value for value in found if not math.isnan(value)]


async def use(app: RunningApp) -> None:
    """Log in, refresh, lose a response and be robbed."""
    first = await app.log_in()
    await app.refresh(first["refresh_token"])
    second = await app.refresh(first["refresh_token"])
    await app.refresh(second["refresh_token"])
    await app.try_refresh(first["refresh_token"])


@pytest.mark.long
async def test_every_expression_of_the_dashboard_has_a_result(tmp_path: Path) -> None:
    with ports.reserve() as mark:
        port = ports.number(mark)
        async with (
            running_app(tmp_path, metrics_port=port, host="127.0.0.1") as app,
            prometheus(tmp_path, port) as client,
        ):
            app.wire.authing = Dated(app.wire.authing, lambda: formatdate(usegmt=True))
            waiting = set(expressions())
            with suppress(TimeoutError):
                async with asyncio.timeout(40):
                    while waiting:
                        await use(app)
                        waiting -= {each for each in waiting if await values(client, each)}
    assert waiting == set()
