"""The grader: a good app has no finding, and each mistake is found by its name."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx

from app.commands.sandbox import problem
from app.sandbox.grading import SCENARIOS, Grader
from tests.sandbox.bad_apps import BAD_APPS
from tests.sandbox.graded_app import GoodApp, be_graded
from tests.support.running_app import ISSUER, SERVICE_KEY, phone_of, running_app


@asynccontextmanager
async def grading(folder: Path, *scenarios: str) -> AsyncIterator[tuple[Grader, httpx.AsyncClient]]:
    """Serve the sandbox in this process with a grader for these scenarios, or for all."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    async with running_app(folder, session_max_per_user=1) as app:
        texts: list[str] = []
        app.switch_authing(service_key=SERVICE_KEY)
        grader = Grader(app.sandbox.state, texts.append)
        if scenarios:
            grader.scenarios = {name: SCENARIOS[name] for name in scenarios}
        service = app.serve(extra_routes=grader.routes())
        async with phone_of(grader.around(service, partial(problem, app.settings))) as phone:
            yield grader, phone


async def test_a_good_app_passes_all_20_scenarios(tmp_path: Path) -> None:
    async with grading(tmp_path) as (grader, phone):
        grade = await be_graded(phone, ISSUER, GoodApp)
    assert len(SCENARIOS) == 20
    assert [each for each in grade["scenarios"] if each["findings"]] == []
    assert [each["name"] for each in grade["scenarios"]] == list(SCENARIOS)
    assert (grade["grade"], grade["finished"]) == ("20 of 20", True)
    assert grader.is_full


async def test_each_mistake_is_found_by_its_name(tmp_path: Path) -> None:
    turns = asyncio.Semaphore(10)

    async def found(number: int, bad: type[GoodApp], scenario: str) -> set[str]:
        async with turns, grading(tmp_path / str(number), scenario) as (_, phone):
            grade = await be_graded(phone, ISSUER, bad)
        return {name for each in grade["scenarios"] for name in each["findings"]}

    expected = {(bad.__name__, scenario): names for bad, scenario, names in BAD_APPS}
    running = [found(index, bad, scenario) for index, (bad, scenario, _) in enumerate(BAD_APPS)]
    found_names = dict(zip(expected, await asyncio.gather(*running), strict=True))
    wrong = {app: names for app, names in found_names.items() if names != expected[app]}
    assert wrong == {}
