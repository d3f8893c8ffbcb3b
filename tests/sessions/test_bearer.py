"""Access tokens of active and of ended sessions, and the logout."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import AccessTokenExpired, AccessTokenInvalid
from app.sessions.login import Login, LoginService
from app.sessions.models import Device, Profile, TokenPair
from app.sessions.sessions import SessionService
from tests.sessions.builders import SECOND, ending_of
from tests.sessions.controlled_store import EMPTY, ControlledStore
from tests.support.fakes import IDENTITY, FakeClock, RecordedEvents

DEVICE: Device = {"type": "android", "name": "a phone"}


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket", DEVICE))


# --- found ---


async def test_an_access_token_is_good_until_its_last_second(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    clock.advance(timedelta(seconds=login.expires_in) - SECOND)
    found = await service.authenticate(login.access_token)
    assert found == (login.session, Profile(IDENTITY.claims, DEVICE))
    clock.advance(SECOND)
    with pytest.raises(AccessTokenExpired):
        await service.authenticate(login.access_token)
    with pytest.raises(AccessTokenExpired):
        await service.log_out(login.access_token)


@pytest.mark.parametrize("token", ["", "garbage", "a.b.c"])
async def test_another_string_than_an_access_token_is_refused(
    service: SessionService, login: TokenPair, token: str
) -> None:
    for wrong in (token, login.refresh_token):
        with pytest.raises(AccessTokenInvalid):
            await service.authenticate(wrong)
        with pytest.raises(AccessTokenInvalid):
            await service.log_out(wrong)


async def test_a_session_that_the_store_does_not_know_is_not_believed(
    service: SessionService, login: TokenPair, store: ControlledStore
) -> None:
    store.restore(EMPTY)
    with pytest.raises(AccessTokenInvalid):
        await service.authenticate(login.access_token)
    await service.log_out(login.access_token)  # no error


async def test_a_session_of_another_user_is_not_believed(
    service: SessionService, login: TokenPair
) -> None:
    others = replace(login.session, subject="another user")
    forged = service.issuer.token_pair(others, login.profile, login.issued_at).access_token
    with pytest.raises(AccessTokenInvalid):
        await service.authenticate(forged)
    await service.log_out(forged)
    assert (await service.authenticate(login.access_token))[0] == login.session


# --- ended ---


async def test_a_logout_counts_at_once_and_has_a_name(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    await service.log_out(login.access_token)
    assert await ending_of(service, login) == ("logged_out", None)
    entry = ("session_ended", login.session.id, {"reason": "logged_out"})
    assert events.entries[1:] == [entry]


async def test_no_refresh_in_flight_survives_a_logout(
    service: SessionService, login: TokenPair
) -> None:
    refreshes = [service.refresh(login.refresh_token) for _ in range(20)]
    outcomes = await asyncio.gather(
        *refreshes[:10],
        service.log_out(login.access_token),
        *refreshes[10:],
        return_exceptions=True,
    )
    pairs = [each for each in outcomes if isinstance(each, TokenPair)]
    assert pairs
    for pair in (login, *pairs):
        assert await ending_of(service, pair) == ("logged_out", None)


async def test_a_limit_that_was_made_shorter_ends_sessions_before_their_access_tokens(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    lifetimes = replace(service.issuer.lifetimes, idle=2 * SECOND)
    shorter = replace(service, issuer=replace(service.issuer, lifetimes=lifetimes))
    await shorter.refresh(login.refresh_token)
    clock.advance(2 * SECOND)
    assert await ending_of(shorter, login) == ("expired", None)
