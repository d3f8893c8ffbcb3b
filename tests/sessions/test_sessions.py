"""The bearers of access tokens, and the devices of a user; each end is recorded."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.errors import (
    AccessTokenExpired,
    AccessTokenInvalid,
    InvalidRequest,
    NotFound,
    StoreUnavailable,
)
from app.sessions.login import Login, LoginService
from app.sessions.models import Ban, Device, EndReason, Profile, TokenPair
from app.sessions.ports import SessionLimits
from app.sessions.sessions import SessionService
from app.sessions.users import BanService
from tests.sessions.builders import SECOND, ending_of
from tests.sessions.controlled_store import EMPTY, ControlledStore
from tests.support.fakes import IDENTITY, START, FakeClock, RecordedEvents

DEVICE: Device = {"type": "android", "name": "a phone"}
USER = IDENTITY.subject


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket", DEVICE))


# --- the bearer of an access token ---


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


async def test_another_string_than_an_access_token_is_refused(
    service: SessionService, login: TokenPair
) -> None:
    for wrong in ("", "garbage", "a.b.c", login.refresh_token):
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


# --- logged out ---


async def test_a_logout_counts_at_once_has_a_name_and_is_recorded_once(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    for _ in range(2):
        await service.log_out(login.access_token)
        await service.revoke(USER, login.session.id)
    assert await ending_of(service, login) == ("logged_out", None)
    entry = ("session_ended", login.session.id, {"reason": "logged_out"})
    assert events.entries[1:] == [entry]


async def test_a_limit_that_was_made_shorter_ends_sessions_before_their_access_tokens(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    lifetimes = replace(service.issuer.lifetimes, idle=2 * SECOND)
    shorter = replace(service, issuer=replace(service.issuer, lifetimes=lifetimes))
    await shorter.refresh(login.refresh_token)
    clock.advance(2 * SECOND)
    assert await ending_of(shorter, login) == ("expired", None)


# --- the devices of a user ---

PHONES: list[Device] = [{"type": "ios", "name": "one"}, {"type": "android", "name": "two"}, {}]


@pytest.fixture
async def phones(logins: LoginService, events: RecordedEvents) -> list[TokenPair]:
    """Three devices of the user, the oldest first; their logins are not in the events trail."""
    pairs = [await logins.log_in(Login(f"ticket-{n}", phone)) for n, phone in enumerate(PHONES)]
    events.entries.clear()
    return pairs


async def living(service: SessionService) -> list[str]:
    return [session.id for session, _profile in await service.active_sessions(USER)]


def endings(pairs: list[TokenPair], reason: str) -> list[tuple[str, str, dict[str, str]]]:
    return [("session_ended", pair.session.id, {"reason": reason}) for pair in pairs]


# --- listed ---


async def test_a_user_sees_the_devices_with_the_oldest_first(
    service: SessionService, phones: list[TokenPair]
) -> None:
    expected = [
        (pair.session, Profile(IDENTITY.claims, phone))
        for pair, phone in zip(phones, PHONES, strict=True)
    ]
    assert await service.active_sessions(USER) == expected
    assert await service.active_sessions("another user") == []


# --- ended ---


async def test_a_session_that_is_not_the_users_is_not_found_and_stays_active(
    service: SessionService, phones: list[TokenPair], events: RecordedEvents
) -> None:
    first = phones[0]
    for user, name in (("another user", first.session.id), (USER, ""), (USER, first.access_token)):
        with pytest.raises(NotFound):
            await service.revoke(user, name)
    assert len(await living(service)) == 3
    assert events.entries == []


async def test_an_erased_user_has_no_sessions_and_gets_the_reason(
    service: SessionService, phones: list[TokenPair], events: RecordedEvents
) -> None:
    await service.log_out(phones[0].access_token)
    await service.erase(USER)
    assert events.entries[1:] == endings(phones[1:], "erased")
    assert await ending_of(service, phones[0]) == ("logged_out", None)
    assert await ending_of(service, phones[1]) == ("erased", None)
    assert await living(service) == []
    with pytest.raises(NotFound):
        await service.revoke(USER, phones[1].session.id)


async def test_a_replaced_device_gets_the_type_of_its_successor(
    logins: LoginService, service: SessionService, phones: list[TokenPair]
) -> None:
    limits = SessionLimits(max_per_user=1000, one_per_device_type=True)
    await replace(logins, limits=limits).log_in(Login("new-phone", {"type": "ios"}))
    assert await ending_of(service, phones[0]) == ("replaced", "ios")
    assert len(await living(service)) == 3


# --- banned ---


async def test_a_ban_ends_everything_at_once(
    service: SessionService, bans: BanService, phones: list[TokenPair], events: RecordedEvents
) -> None:
    until = START + timedelta(days=1)
    ban = await bans.ban(USER, "spam", until)
    assert ban == Ban(USER, "spam", created_at=START, until=until)
    assert events.entries == endings(phones, "banned")
    for pair in phones:
        assert await ending_of(service, pair) == ("banned", None)


@pytest.mark.parametrize("until", [START, START - SECOND])
async def test_a_ban_that_would_be_over_already_is_refused_and_ends_nothing(
    service: SessionService, bans: BanService, phones: list[TokenPair], until: datetime
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await bans.ban(USER, "spam", until)
    assert [error.pointer for error in caught.value.errors] == ["/until"]
    assert len(await living(service)) == 3
    with pytest.raises(NotFound):
        await bans.find(USER)


async def test_a_ban_that_was_lifted_is_not_found_and_lifting_it_again_is_no_error(
    bans: BanService,
) -> None:
    ban = await bans.ban(USER, "spam", None)
    assert await bans.find(USER) == ban
    for _ in range(2):
        await bans.lift(USER)
        with pytest.raises(NotFound):
            await bans.find(USER)


# --- trouble ---


async def test_nothing_is_recorded_or_told_before_the_store_confirms_it(
    service: SessionService,
    bans: BanService,
    phones: list[TokenPair],
    store: ControlledStore,
    events: RecordedEvents,
) -> None:
    store.down = True
    for command in (
        service.revoke(USER, phones[0].session.id),
        service.end_all(USER, EndReason.KICKED),
        service.erase(USER),
        bans.ban(USER, "spam", None),
        bans.lift(USER),
        bans.find(USER),
        service.active_sessions(USER),
        service.log_out(phones[0].access_token),
        service.authenticate(phones[0].access_token),
        service.refresh(phones[0].refresh_token),
    ):
        with pytest.raises(StoreUnavailable):
            await command
    store.down = False
    assert events.entries == []
    assert len(await living(service)) == 3
    assert (await service.refresh(phones[0].refresh_token)).replayed is False
