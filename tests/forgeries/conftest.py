"""One service for each module of forgeries: nothing that is refused leaves anything behind."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.forgeries.attacker import Attacker
from tests.forgeries.service import Gate, open_gate
from tests.forgeries.target import attacker_of
from tests.support.running_app import RunningApp, running_app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacker(world: RunningApp) -> Attacker:
    return await attacker_of(world)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    async with open_gate(tmp_path_factory.mktemp("gate")) as opened:
        yield opened
