"""One service for each module of forgeries, and the record of calls to the outside."""

import sys
from collections.abc import AsyncIterator, Iterator

import jwt
import pytest
import pytest_asyncio

from tests.forgeries.forge import AccessForge, access_forge
from tests.support.running_app import RunningApp, running_app

_REACHING_OUT = {
    *("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"),
    *("subprocess.Popen", "os.system", "urllib.Request"),
}
_watches: list[list[str]] = []


def _note(event: str, _arguments: object) -> None:
    if _watches and event in _REACHING_OUT:
        _watches[-1].append(event)


@pytest.fixture(scope="session")
def _hook() -> None:
    sys.addaudithook(_note)  # cannot be removed; without a watch it does nothing


@pytest.fixture
def outside_calls(_hook: None) -> Iterator[list[str]]:
    """Connections, name lookups and started programs; a test that calls none finds it empty.

    A header that names the URL or the file of a key must have no effect.
    """
    seen: list[str] = []
    _watches.append(seen)
    yield seen
    _watches.remove(seen)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    async with running_app(tmp_path_factory.mktemp("service")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forge(service: RunningApp) -> AccessForge:
    """Forges the access token of a signed-in user with the service's own key."""
    token = (await service.log_in())["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    return access_forge(service.services.keys.ring, claims)
