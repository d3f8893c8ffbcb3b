"""A ticket becomes one session or none; a login with a lost response can be repeated.

Promises 1 and 2 (docs/promises.md). Another process is another service over the same store.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.errors import (
    AccountBlocked,
    AuthingTimeout,
    IdempotencyKeyMismatch,
    LoginInProgress,
    StoreUnavailable,
    TicketRejected,
    TicketUsed,
)
from app.sessions.issuer import Lifetimes
from app.sessions.login import Login, LoginService
from app.sessions.models import Device, Profile, TokenPair
from app.sessions.ports import SessionLimits
from app.sessions.sessions import SessionService
from app.sessions.tokens import RefreshClaims, verify_refresh_token
from tests.sessions.builders import DAY, SECOND
from tests.sessions.controlled_store import EMPTY, ControlledStore
from tests.support.fakes import (
    IDENTITY,
    START,
    FakeClock,
    FakeIdentityProvider,
    FakeKeys,
    RecordedEvents,
)

TICKET = "made-up-ticket"
KEY = "made-up-idempotency-key"
DEVICE: Device = {"id": "phone-1", "type": "ios", "name": "小明's phone", "app_version": "1.2.3"}
LOGIN = Login(TICKET, DEVICE, KEY)
LEASE = 10 * SECOND
CALLERS = 100


@asynccontextmanager
async def exchange_under_way(
    logins: LoginService, login: Login = LOGIN
) -> AsyncIterator[asyncio.Task[TokenPair]]:
    """A login in another process, whose exchange is answered at the end."""
    provider = FakeIdentityProvider(gate=asyncio.Event())
    task = asyncio.create_task(replace(logins, identity_provider=provider).log_in(login))
    await shown(provider)
    try:
        yield task
    finally:
        assert provider.gate is not None
        provider.gate.set()
        await asyncio.gather(task, return_exceptions=True)


async def shown(provider: FakeIdentityProvider) -> None:
    """Return when the provider has been asked."""
    async with asyncio.timeout(10):
        while not provider.tickets:  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0)


async def outcomes_of(*logins: Any) -> list[Any]:
    return await asyncio.gather(*logins, return_exceptions=True)


async def test_a_ticket_becomes_a_session_whose_tokens_are_good(
    logins: LoginService, provider: FakeIdentityProvider, service: SessionService, keys: FakeKeys
) -> None:
    pair = await logins.log_in(Login(TICKET, DEVICE))
    assert provider.tickets == [TICKET]
    assert pair.session.subject == IDENTITY.subject
    assert pair.session.authenticated_at == IDENTITY.authenticated_at
    assert pair.session.generation == 0
    assert pair.profile == Profile(IDENTITY.claims, DEVICE)
    assert pair.replayed is False
    assert await service.authenticate(pair.access_token) == (pair.session, pair.profile)
    claims = verify_refresh_token(keys.ring, pair.refresh_token)
    assert claims == RefreshClaims(pair.session.id, 0)


@pytest.mark.parametrize(
    ("idle", "absolute", "expires_in", "refresh_expires_in"),
    [(14 * DAY, 30 * DAY, 600, 14 * 86_400), (14 * DAY, DAY, 600, 86_400), (5 * SECOND, DAY, 5, 5)],
)
async def test_the_shortest_limit_holds_for_a_session_and_its_tokens(
    logins: LoginService,
    idle: timedelta,
    absolute: timedelta,
    expires_in: int,
    refresh_expires_in: int,
) -> None:
    lifetimes = Lifetimes(idle, absolute, recovery_window=timedelta(0))
    logins = replace(logins, issuer=replace(logins.issuer, lifetimes=lifetimes))
    pair = await logins.log_in(Login(TICKET))
    session = pair.session
    assert pair.issued_at == session.created_at == session.last_used_at == START
    assert session.expires_at == START + timedelta(seconds=refresh_expires_in)
    assert session.absolute_expires_at == START + absolute
    assert (pair.expires_in, pair.refresh_expires_in) == (expires_in, refresh_expires_in)


# --- one ticket, one session ---


async def test_one_ticket_with_one_key_becomes_one_session_however_many_ask_at_once(
    logins: LoginService, provider: FakeIdentityProvider, events: RecordedEvents
) -> None:
    pairs = await asyncio.gather(*(logins.log_in(LOGIN) for _ in range(CALLERS)))
    assert provider.tickets == [TICKET]
    assert len({(pair.session, pair.refresh_token) for pair in pairs}) == 1
    assert sorted(pair.replayed for pair in pairs) == [False] + [True] * (CALLERS - 1)
    assert Counter(events.names) == {"session_opened": 1, "login_replayed": CALLERS - 1}


@pytest.mark.parametrize("own_key", [None, "made-up-key"])
async def test_one_of_many_logins_without_a_common_key_gets_the_session(
    logins: LoginService, provider: FakeIdentityProvider, own_key: str | None
) -> None:
    given = [own_key and f"{own_key}-{number}" for number in range(CALLERS)]
    outcomes = await outcomes_of(*(logins.log_in(Login(TICKET, {}, key)) for key in given))
    assert Counter(map(type, outcomes)) == {TokenPair: 1, TicketUsed: CALLERS - 1}
    assert provider.tickets == [TICKET]


async def test_logins_with_different_tickets_do_not_wait_for_each_other(
    logins: LoginService,
) -> None:
    async with exchange_under_way(logins) as other:
        await logins.log_in(Login("another-ticket"))
        assert not other.done()


# --- a lost response ---


async def test_a_login_can_be_repeated_until_its_session_is_refreshed(
    logins: LoginService, service: SessionService, clock: FakeClock, events: RecordedEvents
) -> None:
    lost = await logins.log_in(LOGIN)
    clock.advance(100 * SECOND)
    again = await logins.log_in(LOGIN)
    assert again.replayed is True
    assert (again.session, again.refresh_token) == (lost.session, lost.refresh_token)
    assert again.issued_at == START + 100 * SECOND
    assert (again.expires_in, again.refresh_expires_in) == (600, 14 * 86_400 - 100)
    assert events.entries[-1] == ("login_replayed", lost.session.id, {})
    await service.authenticate(again.access_token)
    assert (await logins.log_in(LOGIN)).refresh_token == lost.refresh_token
    await service.refresh(again.refresh_token)
    with pytest.raises(TicketUsed):
        await logins.log_in(LOGIN)


async def test_a_login_of_a_disconnected_app_is_finished_and_its_retry_finds_the_session(
    logins: LoginService, provider: FakeIdentityProvider, events: RecordedEvents
) -> None:
    provider.gate = asyncio.Event()
    gone, waiting, gone_too = [asyncio.create_task(logins.log_in(LOGIN)) for _ in range(3)]
    await shown(provider)
    gone.cancel()
    gone_too.cancel()
    await outcomes_of(gone, gone_too)
    assert gone.cancelled()
    retry = asyncio.create_task(logins.log_in(LOGIN))
    await asyncio.sleep(0)
    provider.gate.set()
    assert (await retry).replayed is (await waiting).replayed is True
    assert provider.tickets == [TICKET]
    assert events.names == ["session_opened", "login_replayed", "login_replayed"]


async def test_a_login_that_fails_after_a_disconnect_is_silent_in_the_event_loop(
    logins: LoginService, provider: FakeIdentityProvider, store: ControlledStore
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    provider.gate, provider.failure = asyncio.Event(), TicketRejected(2020)
    gone = asyncio.create_task(logins.log_in(LOGIN))
    await shown(provider)
    gone.cancel()
    await outcomes_of(gone)
    provider.gate.set()
    async with asyncio.timeout(10):
        while store.rows() != EMPTY:  # noqa: ASYNC110  # no task is left to await
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    del gone
    gc.collect()
    assert told == []


async def test_a_login_cut_off_by_the_end_of_its_process_can_be_taken_over_after_the_lease(
    logins: LoginService, provider: FakeIdentityProvider, clock: FakeClock
) -> None:
    provider.gate = asyncio.Event()
    before = asyncio.all_tasks()
    cut_off = asyncio.create_task(logins.log_in(LOGIN))
    await shown(provider)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await outcomes_of(cut_off)
    provider.gate.set()
    with pytest.raises(LoginInProgress):
        await logins.log_in(LOGIN)
    clock.advance(LEASE)
    assert (await logins.log_in(LOGIN)).replayed is False


# --- no session ---


@pytest.mark.parametrize(
    "failure",
    [TicketRejected(2020), AccountBlocked(), AuthingTimeout("deadline"), ZeroDivisionError()],
    ids=repr,
)
async def test_a_failed_exchange_fails_all_waiting_logins_and_the_next_attempt_may_succeed(
    logins: LoginService,
    provider: FakeIdentityProvider,
    store: ControlledStore,
    events: RecordedEvents,
    failure: Exception,
) -> None:
    provider.failure = failure
    outcomes = await outcomes_of(*(logins.log_in(LOGIN) for _ in range(CALLERS)))
    assert outcomes == [failure] * CALLERS
    assert provider.tickets == [TICKET]
    assert (store.rows(), events.entries) == (EMPTY, [])
    provider.failure = None
    assert (await logins.log_in(LOGIN)).replayed is False
    assert provider.tickets == [TICKET] * 2


async def test_a_key_of_another_ticket_is_refused_before_authing_is_asked(
    logins: LoginService, provider: FakeIdentityProvider
) -> None:
    await logins.log_in(LOGIN)
    with pytest.raises(IdempotencyKeyMismatch):
        await logins.log_in(Login("another-ticket", {}, KEY))
    assert provider.tickets == [TICKET]


async def test_the_wrong_key_of_one_attempt_does_not_spoil_another_with_the_right_one(
    logins: LoginService,
) -> None:
    await logins.log_in(replace(LOGIN, idempotency_key="key-of-another-ticket"))
    wrong = Login("second-ticket", idempotency_key="key-of-another-ticket")
    right = Login("second-ticket", idempotency_key=KEY)
    refused, pair = await asyncio.gather(
        logins.log_in(wrong), logins.log_in(right), return_exceptions=True
    )
    assert isinstance(refused, IdempotencyKeyMismatch)
    assert isinstance(pair, TokenPair)


async def test_sessions_replaced_by_a_login_are_recorded(
    logins: LoginService, events: RecordedEvents
) -> None:
    first = await logins.log_in(Login("one", DEVICE))
    limited = replace(logins, limits=SessionLimits(max_per_user=1, one_per_device_type=False))
    second = await limited.log_in(Login("two", DEVICE))
    assert events.entries[1:] == [
        ("session_opened", second.session.id, {}),
        ("session_ended", first.session.id, {"reason": "replaced"}),
    ]


# --- another process has the ticket ---


@pytest.mark.parametrize(("after", "retry_after"), [(0, 2), (8, 2), (9, 1)])
async def test_a_ticket_held_by_another_process_is_409_with_retry_after(
    logins: LoginService,
    provider: FakeIdentityProvider,
    clock: FakeClock,
    after: int,
    retry_after: int,
) -> None:
    async with exchange_under_way(logins) as other:
        clock.advance(after * SECOND)
        with pytest.raises(LoginInProgress) as caught:
            await logins.log_in(LOGIN)
    assert caught.value.retry_after == retry_after
    assert provider.tickets == []
    assert (await logins.log_in(LOGIN)).session == (await other).session


async def test_a_slow_process_gets_the_session_of_the_one_that_took_over(
    logins: LoginService, clock: FakeClock, events: RecordedEvents
) -> None:
    async with exchange_under_way(logins) as slow:
        clock.advance(LEASE)
        successor = await logins.log_in(LOGIN)
    late = await slow
    assert (late.session, late.refresh_token) == (successor.session, successor.refresh_token)
    assert (successor.replayed, late.replayed) == (False, True)
    assert events.names == ["session_opened", "login_replayed"]


async def test_a_lease_longer_than_the_life_of_tickets_is_kept(
    logins: LoginService, clock: FakeClock
) -> None:
    patient = replace(logins, lease_life=300 * SECOND)
    async with exchange_under_way(patient):
        clock.advance(299 * SECOND)
        with pytest.raises(LoginInProgress):
            await patient.log_in(LOGIN)


# --- the store's trouble ---


@pytest.mark.parametrize("failure", [None, AuthingTimeout("deadline")])
async def test_a_store_that_fails_during_an_exchange_has_no_session_until_the_lease_ends(
    logins: LoginService,
    provider: FakeIdentityProvider,
    store: ControlledStore,
    clock: FakeClock,
    failure: AuthingTimeout | None,
) -> None:
    provider.gate, provider.failure = asyncio.Event(), failure
    login = asyncio.create_task(logins.log_in(LOGIN))
    await shown(provider)
    store.down = True
    provider.gate.set()
    with pytest.raises(AuthingTimeout if failure else StoreUnavailable):  # the first error is told
        await login
    store.down, provider.failure = False, None
    assert store.rows()["sessions"] == []
    with pytest.raises(LoginInProgress):
        await logins.log_in(LOGIN)
    clock.advance(LEASE)
    assert (await logins.log_in(LOGIN)).replayed is False
