"""A ticket becomes a session, or nothing happens."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import (
    AccountBlocked,
    AuthingTimeout,
    StoreUnavailable,
    TicketgateError,
    TicketRejected,
)
from app.sessions.models import Device, Profile
from app.sessions.service import SessionPolicy, SessionService
from app.sessions.tokens import RefreshClaims, read_refresh_token
from tests.fakes import (
    IDENTITY,
    START,
    AuditTrail,
    FakeIdentityProvider,
    FakeKeys,
    FakeStore,
)

TICKET = "made-up-ticket"
DEVICE = Device(id="phone-1", type="ios", name="小明's phone", app_version="1.2.3")
LOGIN_AT = START.replace(microsecond=0)


async def test_a_ticket_becomes_a_session(
    service: SessionService, provider: FakeIdentityProvider
) -> None:
    pair = await service.open(TICKET, DEVICE)
    assert provider.tickets == [TICKET]
    assert pair.session.subject == IDENTITY.subject
    assert pair.session.authenticated_at == IDENTITY.authenticated_at
    assert pair.session.generation == 0
    assert pair.profile == Profile(IDENTITY.claims, DEVICE)
    assert pair.replayed is False


async def test_the_tokens_of_a_login_are_good(service: SessionService, keys: FakeKeys) -> None:
    pair = await service.open(TICKET, DEVICE)
    session, profile = await service.authenticate(pair.access_token)
    assert session == pair.session
    assert profile == pair.profile
    claims = read_refresh_token(keys.ring, pair.refresh_token)
    assert claims == RefreshClaims(pair.session.id, 0)


async def test_a_login_states_its_limits_in_whole_seconds(service: SessionService) -> None:
    pair = await service.open(TICKET, None)
    session = pair.session
    assert pair.issued_at == session.created_at == session.last_used_at == LOGIN_AT
    assert session.expires_at == LOGIN_AT + timedelta(days=14)
    assert session.absolute_expires_at == LOGIN_AT + timedelta(days=30)
    assert (pair.expires_in, pair.refresh_expires_in) == (600, 14 * 86_400)


async def test_an_idle_limit_beyond_the_absolute_one_counts_for_nothing(
    service: SessionService,
) -> None:
    policy = SessionPolicy(timedelta(days=14), timedelta(days=1), timedelta(hours=24))
    pair = await replace(service, policy=policy).open(TICKET, None)
    assert pair.session.expires_at == pair.session.absolute_expires_at
    assert pair.refresh_expires_in == 86_400


async def test_a_session_shorter_than_an_access_token_shortens_it(service: SessionService) -> None:
    policy = SessionPolicy(timedelta(seconds=5), timedelta(days=1), timedelta(0))
    pair = await replace(service, policy=policy).open(TICKET, None)
    assert (pair.expires_in, pair.refresh_expires_in) == (5, 5)


async def test_who_says_nothing_of_the_phone_has_no_device(service: SessionService) -> None:
    pair = await service.open(TICKET, None)
    assert pair.profile.device is None


async def test_two_logins_are_two_sessions(service: SessionService) -> None:
    first, second = await service.open("one", DEVICE), await service.open("two", DEVICE)
    assert first.session.id != second.session.id
    await service.log_out(first.access_token)
    assert (await service.refresh(second.refresh_token)).session.id == second.session.id


async def test_a_login_is_audited_by_the_session_alone(
    service: SessionService, audit: AuditTrail
) -> None:
    pair = await service.open(TICKET, DEVICE)
    assert audit.entries == [("session_opened", pair.session.id, {})]


async def test_what_is_kept_of_a_login_can_be_read_by_nobody_without_the_keys(
    service: SessionService, store: FakeStore
) -> None:
    pair = await service.open(TICKET, DEVICE)
    kept = repr(store.backup())
    private = [str(value) for value in IDENTITY.claims.values()] + [DEVICE.name, DEVICE.id]
    tokens = [TICKET, pair.access_token, pair.refresh_token, pair.refresh_token[-43:]]
    assert not any(str(each) in kept for each in private + tokens)


@pytest.mark.parametrize(
    "failure", [TicketRejected(2020), AccountBlocked(), AuthingTimeout("read_timeout")], ids=repr
)
async def test_what_authing_does_not_vouch_for_makes_no_session(
    service: SessionService,
    provider: FakeIdentityProvider,
    store: FakeStore,
    audit: AuditTrail,
    failure: TicketgateError,
) -> None:
    provider.failure = failure
    with pytest.raises(type(failure)) as caught:
        await service.open(TICKET, DEVICE)
    assert caught.value is failure
    assert (store.backup(), audit.entries) == ({}, [])


async def test_a_session_that_could_not_be_kept_is_not_handed_out(
    service: SessionService, store: FakeStore, audit: AuditTrail
) -> None:
    store.down = True
    with pytest.raises(StoreUnavailable):
        await service.open(TICKET, DEVICE)
    assert (store.backup(), audit.entries) == ({}, [])


async def test_what_a_login_prints_of_itself_holds_no_token_and_nothing_personal(
    service: SessionService,
) -> None:
    pair = await service.open(TICKET, DEVICE)
    printed = repr(pair) + repr(pair.profile) + repr(IDENTITY)
    for secret in (pair.access_token, pair.refresh_token, *IDENTITY.claims.values(), DEVICE.name):
        assert str(secret) not in printed
