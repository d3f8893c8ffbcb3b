"""Refreshes: the outcome of the store becomes tokens, an error and an event.

tests/stores/contract/test_rotation.py has the rules one by one, test_state_machine.py sequences.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from app.errors import RateLimited, RefreshSessionEnded, RefreshTokenInvalid, TicketRejected
from app.sessions.models import TokenPair
from app.sessions.sessions import SessionService
from app.sessions.tokens import issue_refresh_token, new_session_id
from tests.sessions.builders import ending_of, make_ring
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


@pytest.mark.parametrize("presented", [0, 1, 2])
async def test_a_reuse_ends_every_branch_of_four_generations(
    service: SessionService, login: TokenPair, events: RecordedEvents, presented: int
) -> None:
    pairs, tree = [login], [login]
    for _ in range(4):
        branches = [await service.refresh(pairs[-1].refresh_token) for _ in range(3)]
        tree += branches
        pairs.append(branches[-1])
    with pytest.raises(RefreshSessionEnded):
        await service.refresh(pairs[presented].refresh_token)
    assert events.entries[-1] == ("refresh_reused", login.session.id, {"kind": "stale"})
    for pair in tree:
        assert await ending_of(service, pair) == ("refresh_reused", None)


async def test_tokens_ahead_of_a_store_that_lost_a_write_are_accepted(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    backup = store.rows()
    acknowledged = await service.refresh(login.refresh_token)
    store.restore(backup)
    session, _profile = await service.authenticate(acknowledged.access_token)
    assert session.id == login.session.id
    rolled_forward = await service.refresh(acknowledged.refresh_token)
    assert (rolled_forward.session.generation, rolled_forward.replayed) == (2, False)
    assert events.names == ["session_opened", "session_rotated", "session_rolled_forward"]


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


# --- the limit of refreshes ---


@dataclass
class Limit:
    """Refuses on demand, and remembers the counted sessions."""

    full: bool = False
    counted: list[str] = field(default_factory=list)

    async def __call__(self, session_id: str) -> None:
        self.counted.append(session_id)
        if self.full:
            raise RateLimited(retry_after=7)


async def test_every_genuine_token_counts_for_its_session_and_no_other_token_does(
    service: SessionService, login: TokenPair
) -> None:
    limit = Limit()
    limited = replace(service, refresh_limit=limit)
    for _ in range(3):
        await limited.refresh(login.refresh_token)
    for forged in ("", "rt_", login.refresh_token[:-1] + "=", login.refresh_token[:-4] + "AAAA"):
        with pytest.raises(RefreshTokenInvalid):
            await limited.refresh(forged)
    assert limit.counted == [login.session.id] * 3


async def test_a_refresh_too_many_is_refused_before_the_store_is_asked(
    service: SessionService, login: TokenPair, store: ControlledStore, events: RecordedEvents
) -> None:
    limit = Limit(full=True)
    limited, store.down = replace(service, refresh_limit=limit), True
    with pytest.raises(RateLimited) as refused:
        await limited.refresh(login.refresh_token)
    assert (refused.value.retry_after, events.names) == (7, ["session_opened"])
    limit.full = store.down = False
    assert not (await limited.refresh(login.refresh_token)).replayed
