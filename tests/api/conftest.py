"""The outcome of every error case, and the lines that were logged."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api.error_cases import AllOutcomes, Outcome, outcomes_in
from tests.support.logging_state import entries_of, logging_as_in_production
from tests.support.running_app import RunningApp


@pytest.fixture
def phone(shared_app: RunningApp) -> httpx.AsyncClient:
    """For tests that leave nothing behind."""
    return shared_app.phone


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    with logging_as_in_production() as output:
        yield lambda: entries_of(output)


@pytest.fixture(scope="session")
def all_outcomes(tmp_path_factory: pytest.TempPathFactory) -> AllOutcomes:
    """Every case, run once, in an application of its own."""
    with logging_as_in_production() as output:
        outcomes = asyncio.run(outcomes_in(tmp_path_factory.mktemp("errors")))
    return AllOutcomes(outcomes, output.getvalue())


@pytest.fixture
def outcome(request: pytest.FixtureRequest, all_outcomes: AllOutcomes) -> Outcome:
    return all_outcomes.outcomes[request.getfixturevalue("case")]
