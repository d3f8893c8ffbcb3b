"""The core's services over a real SQLite store, a fake clock and a fake identity provider."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.sessions.issuer import Lifetimes, TokenIssuer
from app.sessions.login import Login, LoginService
from app.sessions.models import TokenPair
from app.sessions.ports import SessionLimits, Stores
from app.sessions.proofs import ProofVerifier
from app.sessions.sessions import SessionService
from app.sessions.users import BanService
from tests.sessions.builders import ACCESS_TOKENS, ISSUER, make_ring
from tests.sessions.controlled_store import ControlledStore, controlled_store
from tests.support.fakes import FakeClock, FakeIdentityProvider, FakeKeys, RecordedEvents, unlimited

LIFETIMES = Lifetimes(
    idle=timedelta(days=14), absolute=timedelta(days=30), recovery_window=timedelta(hours=24)
)
UNLIMITED = SessionLimits(max_per_user=1000, one_per_device_type=False)


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
def issuer(keys: FakeKeys) -> TokenIssuer:
    return TokenIssuer(keys, ACCESS_TOKENS, LIFETIMES)


@pytest.fixture
def logins(
    provider: FakeIdentityProvider,
    stores: Stores,
    issuer: TokenIssuer,
    clock: FakeClock,
    events: RecordedEvents,
) -> LoginService:
    return LoginService(
        identity_provider=provider,
        tickets=stores.tickets,
        issuer=issuer,
        proofs=ProofVerifier(issuer.keys, ISSUER, "optional", clock),
        lease_life=timedelta(seconds=10),
        ticket_life=timedelta(seconds=150),
        limits=UNLIMITED,
        clock=clock,
        events=events,
    )


@pytest.fixture
def service(
    stores: Stores, issuer: TokenIssuer, clock: FakeClock, events: RecordedEvents
) -> SessionService:
    return SessionService(
        store=stores.sessions,
        issuer=issuer,
        proofs=ProofVerifier(issuer.keys, ISSUER, "optional", clock),
        clock=clock,
        events=events,
        refresh_limit=unlimited,
    )


@pytest.fixture
def bans(stores: Stores, clock: FakeClock, events: RecordedEvents) -> BanService:
    return BanService(store=stores.bans, clock=clock, events=events)


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket"))
