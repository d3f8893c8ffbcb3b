"""One service per module: refused requests leave nothing behind."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.running_app import RunningApp, running_app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("running")) as opened:
        yield opened
