"""A lost answer costs nothing; a stolen token is caught; the store's trouble is no verdict."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import (
    RefreshSessionEnded,
    RefreshTokenInvalid,
    StoreUnavailable,
    TicketRejected,
)
from app.sessions.login import Login, LoginService
from app.sessions.models import TokenPair
from app.sessions.refresh_tokens import issue_refresh_token, new_session_id, verify_refresh_token
from app.sessions.sessions import SessionService
from tests.sessions.builders import make_ring
from tests.sessions.controlled_store import EMPTY, ControlledStore
from tests.support.fakes import START, FakeClock, FakeIdentityProvider, FakeKeys, RecordedEvents

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
async def login(logins: LoginService) -> TokenPair:
    return await logins.log_in(Login("made-up-ticket"))


async def ending_told_by(refresh: Awaitable[TokenPair]) -> str:
    with pytest.raises(RefreshSessionEnded) as caught:
        await refresh
    return caught.value.reason


# --- the way it usually goes ---


async def test_a_refresh_gives_the_next_tokens(
    service: SessionService, login: TokenPair, clock: FakeClock, keys: FakeKeys
) -> None:
    clock.advance(HOUR)
    pair = await service.refresh(login.refresh_token)
    assert pair.replayed is False
    assert verify_refresh_token(keys.ring, pair.refresh_token) == (login.session.id, 1)
    assert pair.access_token != login.access_token
    assert pair.profile == login.profile
    assert pair.issued_at == pair.session.last_used_at == START + HOUR
    assert (pair.expires_in, pair.refresh_expires_in) == (600, 14 * 86_400)


async def test_a_session_can_be_refreshed_fifty_times(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    pair = login
    for generation in range(1, 51):
        pair = await service.refresh(pair.refresh_token)
        assert pair.session.generation == generation
    assert events.names == ["session_opened"] + ["session_rotated"] * 50
    assert (await service.authenticate(pair.access_token))[0] == pair.session


async def test_a_refresh_never_asks_authing(
    service: SessionService, login: TokenPair, provider: FakeIdentityProvider
) -> None:
    provider.failure = TicketRejected(2020)
    pair = await service.refresh(login.refresh_token)
    await service.refresh(login.refresh_token)
    await service.authenticate(pair.access_token)
    await service.log_out(pair.access_token)
    assert provider.tickets == ["made-up-ticket"]


# --- a lost answer ---


async def test_a_lost_answer_is_given_again_with_the_one_successor(
    service: SessionService, login: TokenPair, events: RecordedEvents, clock: FakeClock
) -> None:
    lost = await service.refresh(login.refresh_token)
    clock.advance(HOUR)
    again = await service.refresh(login.refresh_token)
    assert again.replayed is True
    assert again.refresh_token == lost.refresh_token
    assert again.session == lost.session
    assert again.issued_at == lost.issued_at + HOUR
    assert events.entries[-1] == ("refresh_replayed", login.session.id, {})


async def test_a_replay_comes_with_a_fresh_access_token(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    await service.refresh(login.refresh_token)
    clock.advance(HOUR)
    again = await service.refresh(login.refresh_token)
    assert (again.expires_in, again.refresh_expires_in) == (600, 14 * 86_400 - 3600)
    assert (await service.authenticate(again.access_token))[0] == again.session


async def test_a_hundred_tabs_that_refresh_at_once_get_one_successor(
    service: SessionService, login: TokenPair
) -> None:
    pairs = await asyncio.gather(*(service.refresh(login.refresh_token) for _ in range(100)))
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert sorted(pair.replayed for pair in pairs) == [False] + [True] * 99
    assert (await service.refresh(pairs[0].refresh_token)).session.generation == 2


async def test_the_window_closes_at_its_last_second(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    await service.refresh(login.refresh_token)
    clock.advance(24 * HOUR - SECOND)
    assert (await service.refresh(login.refresh_token)).replayed is True
    clock.advance(SECOND)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"


async def test_without_a_window_the_predecessor_is_a_stolen_token(
    service: SessionService, login: TokenPair
) -> None:
    strict_lives = replace(service.issuer.lifetimes, recovery_window=timedelta(0))
    strict = replace(service, issuer=replace(service.issuer, lifetimes=strict_lives))
    await strict.refresh(login.refresh_token)
    assert await ending_told_by(strict.refresh(login.refresh_token)) == "refresh_reused"


# --- a stolen token ---


async def test_the_predecessor_is_a_stolen_token_once_the_successor_was_seen(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    pair = await service.refresh(login.refresh_token)
    await service.authenticate(pair.access_token)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"
    entry = ("refresh_reused", login.session.id, {"kind": "recent_previous"})
    assert events.entries[-1] == entry


async def test_an_access_token_of_a_replay_closes_the_window_too(
    service: SessionService, login: TokenPair
) -> None:
    await service.refresh(login.refresh_token)
    again = await service.refresh(login.refresh_token)
    await service.authenticate(again.access_token)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"


async def test_an_access_token_from_before_the_refresh_leaves_the_window_open(
    service: SessionService, login: TokenPair
) -> None:
    await service.refresh(login.refresh_token)
    await service.authenticate(login.access_token)
    assert (await service.refresh(login.refresh_token)).replayed is True


async def test_a_thief_who_comes_second_is_caught(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    owner = await service.refresh(login.refresh_token)
    owner = await service.refresh(owner.refresh_token)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"
    assert events.entries[-1] == ("refresh_reused", login.session.id, {"kind": "stale"})
    assert await ending_told_by(service.refresh(owner.refresh_token)) == "refresh_reused"


async def test_a_thief_who_comes_first_is_caught_when_the_owner_comes(
    service: SessionService, login: TokenPair
) -> None:
    thief = await service.refresh(login.refresh_token)
    thief = await service.refresh(thief.refresh_token)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"
    assert await ending_told_by(service.refresh(thief.refresh_token)) == "refresh_reused"


async def test_the_first_token_after_the_third_is_stolen_even_within_the_window(
    service: SessionService, login: TokenPair
) -> None:
    pair = login
    for _ in range(3):
        pair = await service.refresh(pair.refresh_token)
    assert await ending_told_by(service.refresh(login.refresh_token)) == "refresh_reused"


async def test_a_reuse_kills_every_token_of_the_session_and_no_other(
    service: SessionService, logins: LoginService, login: TokenPair
) -> None:
    other = await logins.log_in(Login("another-ticket"))
    pairs = [login]
    for _ in range(4):
        answers = [await service.refresh(pairs[-1].refresh_token) for _ in range(3)]
        pairs.append(answers[-1])
    await ending_told_by(service.refresh(pairs[1].refresh_token))
    for pair in pairs:
        assert await ending_told_by(service.refresh(pair.refresh_token)) == "refresh_reused"
    assert (await service.refresh(other.refresh_token)).replayed is False


async def test_a_token_of_the_future_ends_the_session(
    service: SessionService, login: TokenPair, keys: FakeKeys, events: RecordedEvents
) -> None:
    future = issue_refresh_token(keys.ring.current_secret_key, login.session.id, 2)
    assert await ending_told_by(service.refresh(future)) == "refresh_reused"
    assert events.entries[-1] == ("refresh_reused", login.session.id, {"kind": "ahead"})


# --- a store that lost a write ---


async def test_a_token_that_the_store_has_forgotten_is_rolled_forward_and_audited(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    backup = store.rows()
    acknowledged = await service.refresh(login.refresh_token)
    store.restore(backup)
    rolled_forward = await service.refresh(acknowledged.refresh_token)
    assert rolled_forward.session.generation == 2
    assert rolled_forward.replayed is False
    assert events.entries[-1] == ("session_rolled_forward", login.session.id, {})
    assert (await service.refresh(rolled_forward.refresh_token)).session.generation == 3
    assert events.names[-1] == "session_rotated"


async def test_an_access_token_that_the_store_has_forgotten_still_works(
    service: SessionService, login: TokenPair, store: ControlledStore
) -> None:
    backup = store.rows()
    acknowledged = await service.refresh(login.refresh_token)
    store.restore(backup)
    session, _profile = await service.authenticate(acknowledged.access_token)
    assert session.id == login.session.id


# --- over ---


async def test_a_session_expires_at_the_very_second_of_its_idle_limit(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    clock.advance(timedelta(seconds=login.refresh_expires_in) - SECOND)
    pair = await service.refresh(login.refresh_token)
    clock.advance(timedelta(seconds=pair.refresh_expires_in))
    assert await ending_told_by(service.refresh(pair.refresh_token)) == "expired"


async def test_a_session_refreshed_every_day_ends_at_its_absolute_limit(
    service: SessionService, login: TokenPair, clock: FakeClock
) -> None:
    pair = login
    for _ in range(29):
        clock.advance(DAY)
        pair = await service.refresh(pair.refresh_token)
        assert pair.session.absolute_expires_at == login.session.absolute_expires_at
    clock.advance(DAY - SECOND)
    pair = await service.refresh(pair.refresh_token)
    assert (pair.expires_in, pair.refresh_expires_in) == (1, 1)
    clock.advance(SECOND)
    assert await ending_told_by(service.refresh(pair.refresh_token)) == "expired"


async def test_a_session_that_is_not_known_any_more_is_no_ending(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    store.restore(EMPTY)
    with pytest.raises(RefreshTokenInvalid):
        await service.refresh(login.refresh_token)
    assert events.names == ["session_opened"]


# --- not ours ---


async def test_a_token_of_another_environment_is_refused_and_does_no_harm(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    foreign = issue_refresh_token(make_ring().current_secret_key, login.session.id, 0)
    unknown = issue_refresh_token(make_ring().current_secret_key, new_session_id(), 0)
    for token in (foreign, unknown, "", "rt_garbage", login.access_token):
        with pytest.raises(RefreshTokenInvalid):
            await service.refresh(token)
    assert events.names == ["session_opened"]
    assert (await service.refresh(login.refresh_token)).session.generation == 1


# --- the store's trouble ---


async def test_while_the_store_is_down_nothing_is_said_of_the_session(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    store.down = True
    with pytest.raises(StoreUnavailable):
        await service.refresh(login.refresh_token)
    assert events.names == ["session_opened"]
    store.down = False
    assert (await service.refresh(login.refresh_token)).replayed is False
