"""The grader: a good app has no finding, and each mistake is found by its name."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typing_extensions import override

from app.commands.sandbox import refusals
from app.sandbox.findings import Record, Seen, Step, find
from app.sandbox.grading import FINDINGS, SCENARIOS, Grader
from tests.commands.environment import without_settings
from tests.sandbox.bad_apps import BAD_APPS
from tests.sandbox.graded_app import GoodApp, be_graded
from tests.support.processes import Program
from tests.support.running_app import ISSUER, SERVICE_KEY, phone_of, running_app


@asynccontextmanager
async def grading(folder: Path, *scenarios: str) -> AsyncIterator[tuple[Grader, httpx.AsyncClient]]:
    """Serve the sandbox in this process with a grader for these scenarios, or for all."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    async with running_app(folder, session_max_per_user=1) as app:
        texts: list[str] = []
        app.clock.now = datetime.now(UTC)
        app.switch_authing(service_key=SERVICE_KEY)
        grader = Grader(app.sandbox.state, texts.append)
        if scenarios:
            grader.scenarios = {name: SCENARIOS[name] for name in scenarios}
        service = app.serve(extra_routes=grader.routes())
        async with phone_of(grader.around(service, partial(refusals, app.settings))) as phone:
            yield grader, phone


class WithoutADeviceKey(GoodApp):
    """A thief of its tokens ends its session, instead of being refused."""

    @override
    def proof(self, path: str) -> str | None:
        return None


@pytest.mark.long
async def test_a_good_app_passes_all_20_scenarios_with_and_without_a_device_key(
    tmp_path: Path,
) -> None:
    async def graded(name: str, app: type[GoodApp]) -> dict[str, Any]:
        async with grading(tmp_path / name) as (grader, phone):
            grade = await be_graded(phone, ISSUER, app)
            assert grader.is_full
            return grade

    for grade in await asyncio.gather(graded("a", GoodApp), graded("b", WithoutADeviceKey)):
        assert [each for each in grade["scenarios"] if each["findings"]] == []
        assert [each["name"] for each in grade["scenarios"]] == list(SCENARIOS)
        assert (grade["grade"], grade["finished"]) == ("20 of 20", True)


@pytest.mark.long
async def test_each_mistake_is_found_by_its_name(tmp_path: Path) -> None:
    turns = asyncio.Semaphore(10)

    async def found(number: int, bad: type[GoodApp], scenario: str) -> set[str]:
        async with turns, grading(tmp_path / str(number), scenario) as (grader, phone):
            grader.hold_seconds = 8.0
            grade = await be_graded(phone, ISSUER, bad)
        return {name for each in grade["scenarios"] for name in each["findings"]}

    running = [found(index, bad, scenario) for index, (bad, scenario, _) in enumerate(BAD_APPS)]
    results = zip(BAD_APPS, await asyncio.gather(*running), strict=True)
    wrong = [(each, names) for each, names in results if names != each[2]]
    assert wrong == []


def test_every_finding_is_shown_by_a_bad_app() -> None:
    shown = {name for _, _, names in BAD_APPS for name in names}
    assert shown | {"no_backoff", "no_login"} == FINDINGS.keys()


@pytest.mark.parametrize(("pause", "findings"), [(0.1, ["no_backoff"]), (0.3, [])])
def test_a_retry_without_a_pause_is_found(pause: float, findings: list[str]) -> None:
    lost = Seen(0, "login", "a ticket", "a key", "", began=1.0, ended=1.0)
    again = replace(lost, began=1.0 + pause, ended=2.0, status=201)
    assert find(Record([(Step("sign_in"), 0.5)], [lost, again])) == findings


@pytest.mark.parametrize(
    "proof", ["", "a.b", "a.bm8.c", "a.e30.c", "a.W10.c", "a.eyJub25jZSI6IiJ9.c"]
)
def test_a_proof_without_a_nonce_has_none(proof: str) -> None:
    assert Seen(0, "login", "", "", proof, began=1.0).nonce is None


@pytest.mark.long
def test_the_command_prints_the_grade_and_exits_with_1_after_a_mistake(tmp_path: Path) -> None:
    environment = without_settings() | {"PORT": "0"}
    program = Program(tmp_path, "-m", "app", "sandbox", "--grade", environment=environment)
    try:
        url = program.line_with("Ticketgate sandbox on").split()[-1]
        told: dict[str, Any] = {}
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
            while told.get("do") != "stop":
                told = http.post("/sandbox/api/grade/next").json()
            assert {"do": "stop", **http.get("/sandbox/api/grade").json()} == told
            assert http.post("/sandbox/api/grade/next").json()["do"] == "install"
        program.line_with("It grades an app")
        program.line_with("Grade: 0 of 20")
        program.line_with("  FAILED  lost_login_answer")
        program.line_with("          no_login: The app did not log in with")
        program.line_with("docs/mobile.md says what a correct app does")
        program.send(signal.SIGINT)
        assert program.wait() == 1
    finally:
        program.close()
