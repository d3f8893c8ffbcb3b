"""What the SQLite store promises beyond the contract: what its file holds, and who waits how long.

The contract itself is in the folder beside this file, for every store alike.
"""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import StartupError, StoreUnavailable
from app.sessions.models import Device, Ending
from app.sessions.ports import Active, Ended, Reused
from app.sessions.service import SessionPolicy, SessionService
from app.stores.sqlite import SqliteStore
from tests.fakes import IDENTITY, AuditTrail, FakeClock, FakeIdentityProvider, FakeKeys
from tests.sessions.builders import ACCESS_TOKENS, make_ring
from tests.stores.builders import ABSOLUTE, DAY, IDLE, NOW, WINDOW, make_session, rotation_of
from tests.stores.full_disk import no_room_to_grow

SECRET = b"sealed, but a profile all the same"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_store_that_cannot_be_opened_says_so_in_one_line(store: SqliteStore, path: Path) -> None:
    with pytest.raises(StartupError, match=r"^STORE_URL: .* in use by another process"):
        SqliteStore(path).close()


async def test_a_full_disk_is_noticed_by_the_check_for_readiness(
    store: SqliteStore, path: Path
) -> None:
    with no_room_to_grow(path), pytest.raises(StoreUnavailable):
        await store.check_writable()
    await store.check_writable()


async def test_a_refresh_that_could_not_be_written_can_be_repeated(
    store: SqliteStore, path: Path
) -> None:
    session = make_session()
    await store.add(session)
    with no_room_to_grow(path), pytest.raises(StoreUnavailable):
        await store.rotate(rotation_of(0))
    assert await store.see("session-a", 0, NOW) == Active(session)


async def test_who_asks_during_a_large_purge_is_answered_before_it_is_over(
    store: SqliteStore,
) -> None:
    names = [f"session-{number}" for number in range(3000)]
    await asyncio.gather(*(store.add(make_session(name)) for name in names))
    await store.add(make_session("alive", expires_at=NOW + 28 * DAY))
    due = NOW + IDLE + 7 * DAY
    purging = asyncio.create_task(store.purge(due))
    await asyncio.sleep(0)
    assert isinstance(await store.see("alive", 0, due), Active)
    assert not purging.done()
    assert await purging == len(names)


@pytest.mark.parametrize("way", ["logged out", "reused"])
async def test_the_profile_of_an_ended_session_is_gone_from_the_disk(path: Path, way: str) -> None:
    with closing(SqliteStore(path)) as store:
        await store.add(make_session(generation=5, sealed_profile=SECRET))
        if way == "logged out":
            assert await store.end("session-a", Ending.LOGGED_OUT, NOW)
        else:
            assert isinstance(await store.rotate(rotation_of(0)), Reused)
    assert SECRET not in on_disk(path)


async def test_a_purged_session_is_gone_from_the_disk(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        await store.add(make_session(subject="somebody-in-particular", sealed_profile=SECRET))
        assert await store.purge(NOW + IDLE + 7 * DAY) == 1
    assert b"somebody-in-particular" not in on_disk(path)
    assert SECRET not in on_disk(path)


async def test_a_session_is_never_replaced_by_another_of_the_same_name(store: SqliteStore) -> None:
    await store.add(make_session())
    await store.end("session-a", Ending.LOGGED_OUT, NOW)
    with pytest.raises(StoreUnavailable):
        await store.add(make_session())
    assert await store.see("session-a", 0, NOW) == Ended(Ending.LOGGED_OUT)


async def test_a_copy_of_the_files_yields_no_token_and_nothing_personal(
    store: SqliteStore, path: Path
) -> None:
    service = SessionService(
        identity_provider=FakeIdentityProvider(),
        store=store,
        keys=FakeKeys(make_ring()),
        access_tokens=ACCESS_TOKENS,
        policy=SessionPolicy(IDLE, ABSOLUTE, WINDOW),
        clock=FakeClock(),
        audit=AuditTrail(),
    )
    login = await service.open("made-up-ticket", Device(name="a phone of mine"))
    pair = await service.refresh(login.refresh_token)
    copy = on_disk(path)
    assert pair.session.id.encode() in copy
    macs = [token[-43:] for token in (login.refresh_token, pair.refresh_token)]
    signatures = [token.split(".")[2] for token in (login.access_token, pair.access_token)]
    personal = [*map(str, IDENTITY.claims.values()), "a phone of mine", "made-up-ticket"]
    for secret in macs + signatures + personal:
        assert secret.encode() not in copy
