"""The core's services over a real SQLite store, a fake clock and a fake identity provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sessions.login import Login, LoginService
from app.sessions.models import TokenPair
from app.sessions.ports import Stores
from app.sessions.sessions import SessionService
from app.sessions.users import BanService
from tests.sessions.builders import Core, make_core, make_ring
from tests.sessions.controlled_store import ControlledStore, controlled_store
from tests.support.fakes import FakeClock, FakeIdentityProvider, FakeKeys, RecordedEvents


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> FakeIdentityProvider:
    return FakeIdentityProvider()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ControlledStore]:
    with controlled_store(tmp_path / "sessions.db") as opened:
        yield opened


@pytest.fixture
def stores(store: ControlledStore) -> Stores:
    return store.ports


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys(make_ring())


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def core(
    stores: Stores,
    provider: FakeIdentityProvider,
    keys: FakeKeys,
    clock: FakeClock,
    events: RecordedEvents,
) -> Core:
    return make_core(stores, keys, provider=provider, clock=clock, events=events)


@pytest.fixture
def logins(core: Core) -> LoginService:
    return core.logins


@pytest.fixture
def service(core: Core) -> SessionService:
    return core.sessions


@pytest.fixture
def bans(core: Core) -> BanService:
    return core.bans


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket"))
