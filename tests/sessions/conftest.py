"""The session service over fakes: a clock that stands still, one user, a store in memory."""

from datetime import timedelta

import pytest

from app.sessions.service import SessionPolicy, SessionService
from tests.fakes import AuditTrail, FakeClock, FakeIdentityProvider, FakeKeys, FakeStore
from tests.sessions.builders import ACCESS_TOKENS, make_ring

POLICY = SessionPolicy(
    idle_ttl=timedelta(days=14),
    absolute_ttl=timedelta(days=30),
    recovery_window=timedelta(hours=24),
)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> FakeIdentityProvider:
    return FakeIdentityProvider()


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def keys() -> FakeKeys:
    return FakeKeys(make_ring())


@pytest.fixture
def audit() -> AuditTrail:
    return AuditTrail()


@pytest.fixture
def service(
    clock: FakeClock,
    provider: FakeIdentityProvider,
    store: FakeStore,
    keys: FakeKeys,
    audit: AuditTrail,
) -> SessionService:
    return SessionService(
        identity_provider=provider,
        store=store,
        keys=keys,
        access_tokens=ACCESS_TOKENS,
        policy=POLICY,
        clock=clock,
        audit=audit,
    )
