"""Worlds for the tests, what came of every error case, and the lines that were logged."""

import asyncio
import contextlib
import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app.telemetry import logs
from tests.api.error_cases import CASES, Case, Outcome, Provoked
from tests.support.running_app import RunningApp, running_app


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path) as opened:
        yield opened


@pytest.fixture
async def limited_world(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """Where a user may have two sessions."""
    async with running_app(tmp_path, session_max_per_user=2) as opened:
        yield opened


@pytest.fixture
async def one_per_type_world(tmp_path: Path) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path, session_one_per_device_type=True) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def unchanged_world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("unchanged")) as opened:
        yield opened


@pytest.fixture
def phone(unchanged_world: RunningApp) -> httpx.AsyncClient:
    """For tests that leave nothing behind: they share a world, because opening one takes time."""
    return unchanged_world.phone


@pytest.fixture
def log_lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What has been logged since the test began."""
    with logging_as_in_production() as output:
        yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]


@pytest.fixture(scope="session")
def provoked(tmp_path_factory: pytest.TempPathFactory) -> Provoked:
    """Every case, provoked once, in a world of its own."""
    folder = tmp_path_factory.mktemp("provoked")

    async def provoke(number: int, case: Case) -> Outcome:
        async with running_app(folder / str(number), **case.settings) as world:
            return Outcome(await case.provoke(world), frozenset(world.secrets))

    async def provoke_all() -> list[Outcome]:
        return await asyncio.gather(*(provoke(*numbered) for numbered in enumerate(CASES)))

    with logging_as_in_production() as output:
        outcomes = asyncio.run(provoke_all())
    return Provoked(dict(zip(CASES, outcomes, strict=True)), output.getvalue())


@pytest.fixture
def outcome(request: pytest.FixtureRequest, provoked: Provoked) -> Outcome:
    """What came of the `case` of the test."""
    return provoked.outcomes[request.getfixturevalue("case")]


@contextlib.contextmanager
def logging_as_in_production() -> Iterator[io.StringIO]:
    """Log as JSON, to the place that is given, and everything."""
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in logs._TALKATIVE)]
    handlers, levels = root.handlers[:], [logger.level for logger in loggers]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        logs.configure("debug", "json")
    try:
        yield output
    finally:
        root.handlers[:] = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
