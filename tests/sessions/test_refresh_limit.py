"""The limit of refreshes counts after the MAC is verified and before the store is asked."""

from dataclasses import dataclass, field, replace

import pytest

from app.errors import RateLimited, RefreshTokenInvalid
from app.sessions.models import TokenPair
from app.sessions.sessions import SessionService
from tests.sessions.controlled_store import ControlledStore
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
    login: TokenPair, limited: SessionService, limit: Limit
) -> None:
    for _ in range(3):
        await limited.refresh(login.refresh_token)
    assert limit.counted == [login.session.id] * 3


async def test_a_token_of_another_service_is_not_counted(
    login: TokenPair, limited: SessionService, limit: Limit
) -> None:
    for forged in ("", "rt_", login.refresh_token[:-1] + "=", login.refresh_token[:-4] + "AAAA"):
        with pytest.raises(RefreshTokenInvalid):
            await limited.refresh(forged)
    assert limit.counted == []


async def test_a_refresh_too_many_is_refused_before_the_store_is_asked(
    login: TokenPair,
    limited: SessionService,
    limit: Limit,
    store: ControlledStore,
    events: RecordedEvents,
) -> None:
    limit.full = store.down = True
    with pytest.raises(RateLimited) as refused:
        await limited.refresh(login.refresh_token)
    assert (refused.value.retry_after, events.names) == (7, ["session_opened"])
    limit.full = store.down = False
    assert not (await limited.refresh(login.refresh_token)).replayed
