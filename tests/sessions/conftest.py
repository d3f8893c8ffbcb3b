"""The core's services over fakes: a clock that stands still, one user, a store in memory."""

from datetime import timedelta

import pytest

from app.sessions.bans import BanService
from app.sessions.issuer import Lifetimes, SessionIssuer
from app.sessions.login import ClaimTimes, LoginService
from app.sessions.ports import SessionLimits, SessionStore
from app.sessions.sessions import SessionService
from tests.sessions.builders import ACCESS_TOKENS, make_ring
from tests.support.fake_store import FakeStore
from tests.support.fakes import AuditTrail, FakeClock, FakeIdentityProvider, FakeKeys, unlimited

LIFETIMES = Lifetimes(
    idle=timedelta(days=14),
    absolute=timedelta(days=30),
    recovery_window=timedelta(hours=24),
)
TIMES = ClaimTimes(lease=timedelta(seconds=10), ticket_life=timedelta(seconds=150))
UNLIMITED = SessionLimits(max_per_user=0, one_per_device_type=False)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> FakeIdentityProvider:
    return FakeIdentityProvider()


@pytest.fixture
def store() -> SessionStore:
    return FakeStore()


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys(make_ring())


@pytest.fixture
def audit() -> AuditTrail:
    return AuditTrail()


@pytest.fixture
def issuer(keys: FakeKeys) -> SessionIssuer:
    return SessionIssuer(keys, ACCESS_TOKENS, LIFETIMES)


@pytest.fixture
def logins(
    provider: FakeIdentityProvider,
    store: SessionStore,
    issuer: SessionIssuer,
    clock: FakeClock,
    audit: AuditTrail,
) -> LoginService:
    return LoginService(
        identity_provider=provider,
        store=store,
        issuer=issuer,
        times=TIMES,
        limits=UNLIMITED,
        clock=clock,
        audit=audit,
    )


@pytest.fixture
def service(
    store: SessionStore, issuer: SessionIssuer, clock: FakeClock, audit: AuditTrail
) -> SessionService:
    return SessionService(
        store=store, issuer=issuer, clock=clock, audit=audit, refresh_limit=unlimited
    )


@pytest.fixture
def bans(store: SessionStore, clock: FakeClock, audit: AuditTrail) -> BanService:
    return BanService(store=store, clock=clock, audit=audit)
