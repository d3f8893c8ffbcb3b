"""One service for each module of forgeries, because a refused token changes nothing."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.forgeries.attacker import Attacker, attacker_of
from tests.support.running_app import RunningApp, running_app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("service")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacker(service: RunningApp) -> Attacker:
    return await attacker_of(service)
