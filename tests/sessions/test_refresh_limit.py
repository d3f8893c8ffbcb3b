"""The limit of refreshes counts after the MAC is verified and before the store is asked."""

from dataclasses import dataclass, field, replace

import pytest

from app.errors import RateLimited, RefreshTokenInvalid, StoreUnavailable
from app.sessions.login import Login, LoginService
from app.sessions.sessions import SessionService
from tests.support.fakes import RecordedEvents


@dataclass
class Limit:
    """Refuses on demand, and remembers the counted sessions."""

    full: bool = False
    counted: list[str] = field(default_factory=list)

    async def __call__(self, session_id: str) -> None:
        self.counted.append(session_id)
        if self.full:
            raise RateLimited(retry_after=7)


@pytest.fixture
def limit() -> Limit:
    return Limit()


@pytest.fixture
def limited(service: SessionService, limit: Limit) -> SessionService:
    return replace(service, refresh_limit=limit)


async def test_every_genuine_token_counts_for_its_session_be_it_spent_or_not(
    logins: LoginService, limited: SessionService, limit: Limit
) -> None:
    pair = await logins.log_in(Login("a ticket"))
    for _ in range(3):
        await limited.refresh(pair.refresh_token)
    assert limit.counted == [pair.session.id] * 3


async def test_a_token_of_another_service_is_not_counted(
    logins: LoginService, limited: SessionService, limit: Limit
) -> None:
    pair = await logins.log_in(Login("a ticket"))
    for forged in ("", "rt_", pair.refresh_token[:-1] + "=", pair.refresh_token[:-4] + "AAAA"):
        with pytest.raises(RefreshTokenInvalid):
            await limited.refresh(forged)
    assert limit.counted == []


async def test_a_refresh_too_many_changes_nothing(
    logins: LoginService, limited: SessionService, limit: Limit, events: RecordedEvents
) -> None:
    pair = await logins.log_in(Login("a ticket"))
    limit.full, before = True, list(events.names)
    with pytest.raises(RateLimited) as refused:
        await limited.refresh(pair.refresh_token)
    assert (refused.value.retry_after, events.names) == (7, before)
    limit.full = False
    assert not (await limited.refresh(pair.refresh_token)).replayed


async def test_a_refresh_too_many_does_not_ask_the_store(
    logins: LoginService, limited: SessionService, limit: Limit
) -> None:
    class Down:
        async def rotate(self, rotation: object) -> object:
            raise StoreUnavailable

    pair = await logins.log_in(Login("a ticket"))
    without_store = replace(limited, store=Down())  # type: ignore[arg-type]  # all that is asked
    with pytest.raises(StoreUnavailable):
        await without_store.refresh(pair.refresh_token)
    limit.full = True
    with pytest.raises(RateLimited):
        await without_store.refresh(pair.refresh_token)
