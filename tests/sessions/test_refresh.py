"""Refreshes one by one. test_refresh_sequences.py has the sequences: replay, reuse, expiry."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from app.errors import RefreshSessionEnded, RefreshTokenInvalid, TicketRejected
from app.sessions.models import TokenPair
from app.sessions.sessions import SessionService
from app.sessions.tokens import issue_refresh_token, new_session_id
from tests.sessions.builders import make_ring
from tests.sessions.controlled_store import EMPTY, ControlledStore
from tests.support.fakes import FakeClock, FakeIdentityProvider, RecordedEvents

HOUR = timedelta(hours=1)


async def test_a_refresh_never_asks_authing(
    service: SessionService, login: TokenPair, provider: FakeIdentityProvider
) -> None:
    provider.failure = TicketRejected(2020)
    pair = await service.refresh(login.refresh_token)
    await service.refresh(login.refresh_token)
    await service.authenticate(pair.access_token)
    await service.log_out(pair.access_token)
    assert provider.tickets == ["made-up-ticket"]


# --- a lost response ---


async def test_a_repeated_refresh_gets_the_one_successor_and_a_fresh_access_token(
    service: SessionService, login: TokenPair, events: RecordedEvents, clock: FakeClock
) -> None:
    lost = await service.refresh(login.refresh_token)
    clock.advance(HOUR)
    again = await service.refresh(login.refresh_token)
    assert again.replayed is True
    assert again.refresh_token == lost.refresh_token
    assert again.session == lost.session
    assert again.issued_at == lost.issued_at + HOUR
    assert (again.expires_in, again.refresh_expires_in) == (600, 14 * 86_400 - 3600)
    assert (await service.authenticate(again.access_token))[0] == again.session
    first = {"kind": "first", "count": 1}
    assert events.entries[-1] == ("refresh_replayed", login.session.id, first)


async def test_three_replayed_generations_in_a_row_are_reported_with_their_number(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    newest = login
    for repetitions in (1, 1, 2, 1):
        used, newest = newest, await service.refresh(newest.refresh_token)
        for _ in range(repetitions):
            await service.refresh(used.refresh_token)
    replays = [fields for event, _, fields in events.entries if event == "refresh_replayed"]
    assert [tuple(fields.values()) for fields in replays] == [
        *[("first", 1)] * 3,
        ("again", 2),
        ("first", 1),
    ]
    repeated = [entry for entry in events.entries if entry[0] == "refresh_replayed_repeatedly"]
    assert [fields["count"] for _, _, fields in repeated] == [3, 4]


async def test_100_concurrent_refreshes_get_one_successor(
    service: SessionService, login: TokenPair
) -> None:
    pairs = await asyncio.gather(*(service.refresh(login.refresh_token) for _ in range(100)))
    assert len({pair.refresh_token for pair in pairs}) == 1
    assert sorted(pair.replayed for pair in pairs) == [False] + [True] * 99
    assert (await service.refresh(pairs[0].refresh_token)).session.generation == 2


async def test_every_replay_without_a_window_is_a_reuse(
    service: SessionService, login: TokenPair
) -> None:
    strict_lives = replace(service.issuer.lifetimes, recovery_window=timedelta(0))
    strict = replace(service, issuer=replace(service.issuer, lifetimes=strict_lives))
    await strict.refresh(login.refresh_token)
    with pytest.raises(RefreshSessionEnded) as caught:
        await strict.refresh(login.refresh_token)
    assert caught.value.reason == "refresh_reused"


# --- a stolen token ---


async def test_an_access_token_from_before_the_refresh_leaves_the_window_open(
    service: SessionService, login: TokenPair
) -> None:
    await service.refresh(login.refresh_token)
    await service.authenticate(login.access_token)
    assert (await service.refresh(login.refresh_token)).replayed is True


# --- a store that lost a write ---


async def test_an_access_token_ahead_of_the_store_is_accepted(
    service: SessionService, login: TokenPair, store: ControlledStore
) -> None:
    backup = store.rows()
    acknowledged = await service.refresh(login.refresh_token)
    store.restore(backup)
    session, _profile = await service.authenticate(acknowledged.access_token)
    assert session.id == login.session.id


async def test_a_refresh_of_an_unknown_session_is_invalid_and_records_nothing(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    store.restore(EMPTY)
    with pytest.raises(RefreshTokenInvalid):
        await service.refresh(login.refresh_token)
    assert events.names == ["session_opened"]


async def test_a_token_with_a_foreign_mac_is_refused_and_changes_nothing(
    service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    foreign = issue_refresh_token(make_ring().current_secret_key, login.session.id, 0)
    unknown = issue_refresh_token(make_ring().current_secret_key, new_session_id(), 0)
    for token in (foreign, unknown, "", "rt_garbage", login.access_token):
        with pytest.raises(RefreshTokenInvalid):
            await service.refresh(token)
    assert events.names == ["session_opened"]
    assert (await service.refresh(login.refresh_token)).session.generation == 1
