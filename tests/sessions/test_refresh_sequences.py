"""Sequences of refreshes that other systems get wrong, over the service and the SQLite store.

Each runs twice: with the store open all the time, and with a store that is closed and opened again
between any two steps, as by a restart of the service. tests/stores/contract has the rules of the
store one by one, and test_state_machine.py random sequences.
"""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.errors import AccessTokenInvalid, NotFound, RefreshSessionEnded
from app.sessions.login import Login, LoginService
from app.sessions.models import EndReason, TokenPair
from app.sessions.ports import Stores
from app.sessions.sessions import SessionService
from app.sessions.users import BanService
from app.stores.sqlite import open_sqlite_store
from tests.sessions.builders import ending_of
from tests.stores.factories import restarting
from tests.support.fakes import IDENTITY, FakeClock, RecordedEvents

HOUR = timedelta(hours=1)
USER = IDENTITY.subject


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture(params=["running", "restarting"])
def stores(request: pytest.FixtureRequest, path: Path) -> Iterator[Stores]:
    if request.param == "restarting":
        yield restarting(lambda: open_sqlite_store(path))
        return
    with open_sqlite_store(path) as running:
        yield running


async def lives(service: SessionService, pair: TokenPair) -> bool:
    listed = await service.active_sessions(USER)
    return pair.session.id in [session.id for session, _profile in listed]


async def test_a_chain_of_50_refreshes_is_one_session(
    service: SessionService, login: TokenPair, clock: FakeClock, events: RecordedEvents
) -> None:
    pair = login
    for generation in range(1, 51):
        clock.advance(HOUR)
        pair = await service.refresh(pair.refresh_token)
        session, _profile = await service.authenticate(pair.access_token)
        assert (session.id, session.generation) == (login.session.id, generation)
    assert events.names == ["session_opened"] + ["session_rotated"] * 50


async def test_the_second_of_thief_and_owner_ends_the_session(
    service: SessionService, login: TokenPair
) -> None:
    first = await service.refresh(login.refresh_token)
    await service.authenticate(first.access_token)  # the successor is in use
    with pytest.raises(RefreshSessionEnded) as second:
        await service.refresh(login.refresh_token)
    assert second.value.reason == "refresh_reused"
    assert await ending_of(service, first) == ("refresh_reused", None)


@pytest.mark.parametrize("presented", [0, 1, 2])
async def test_a_reuse_ends_every_branch_of_four_generations(
    service: SessionService,
    logins: LoginService,
    login: TokenPair,
    events: RecordedEvents,
    presented: int,
) -> None:
    other = await logins.log_in(Login("another-ticket"))
    pairs, tree = [login], [login]
    for _ in range(4):
        branches = [await service.refresh(pairs[-1].refresh_token) for _ in range(3)]
        assert len({branch.refresh_token for branch in branches}) == 1
        tree += branches
        pairs.append(branches[-1])
    with pytest.raises(RefreshSessionEnded):
        await service.refresh(pairs[presented].refresh_token)
    assert events.entries[-1] == ("refresh_reused", login.session.id, {"kind": "stale"})
    for pair in tree:
        assert await ending_of(service, pair) == ("refresh_reused", None)
    assert await lives(service, other)


@pytest.mark.parametrize(
    ("scope", "told"),
    [
        ("this", ["logged_out", None, None]),
        ("one", [None, "revoked", None]),
        ("others", [None, "revoked", "revoked"]),
        ("all", ["revoked", "revoked", "revoked"]),
        ("kick", ["kicked", "kicked", "kicked"]),
        ("ban", ["banned", "banned", "banned"]),
    ],
)
async def test_an_end_is_of_exactly_the_named_sessions(
    logins: LoginService,
    service: SessionService,
    bans: BanService,
    scope: str,
    told: list[str | None],
) -> None:
    phones = [await logins.log_in(Login(f"ticket-{number}")) for number in range(3)]
    if scope == "this":
        await service.log_out(phones[0].access_token)
    elif scope == "kick":
        await service.end_all(USER, EndReason.KICKED)
    elif scope == "ban":
        await bans.ban(USER, "spam", None)
    elif scope == "one":
        await service.revoke(USER, phones[1].session.id)
    else:
        keep = phones[0].session.id if scope == "others" else None
        await service.end_all(USER, EndReason.REVOKED, keep=keep)
    for phone, reason in zip(phones, told, strict=True):
        if reason is None:
            assert await lives(service, phone)
        else:
            assert await ending_of(service, phone) == (reason, None)


async def test_a_repeated_or_invalid_logout_ends_no_other_session(
    logins: LoginService, service: SessionService, login: TokenPair, events: RecordedEvents
) -> None:
    other = await logins.log_in(Login("another-ticket"))
    for _ in range(2):
        await service.log_out(login.access_token)
        await service.revoke(USER, login.session.id)
    for garbage in ("", "garbage", "a.b.c", other.refresh_token):
        with pytest.raises(AccessTokenInvalid):
            await service.log_out(garbage)
        with pytest.raises(NotFound):
            await service.revoke(USER, garbage)
    assert events.names.count("session_ended") == 1
    assert await lives(service, other)


@pytest.mark.parametrize("stores", ["restarting"], indirect=True)
async def test_a_token_one_ahead_of_a_store_that_lost_a_write_is_rolled_forward_once(
    service: SessionService, login: TokenPair, path: Path, events: RecordedEvents
) -> None:
    backup = path.with_name("backup.db")
    shutil.copy(path, backup)
    acknowledged = await service.refresh(login.refresh_token)
    shutil.copy(backup, path)
    rolled_forward = await service.refresh(acknowledged.refresh_token)
    assert (rolled_forward.session.generation, rolled_forward.replayed) == (2, False)
    assert events.entries[-1] == ("session_rolled_forward", login.session.id, {})
    again = await service.refresh(acknowledged.refresh_token)
    assert (again.refresh_token, again.replayed) == (rolled_forward.refresh_token, True)
    assert events.names.count("session_rolled_forward") == 1
    with pytest.raises(RefreshSessionEnded):
        await service.refresh(login.refresh_token)
