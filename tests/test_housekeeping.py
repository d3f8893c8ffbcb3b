"""Files are followed and the store is purged while the service runs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from app import keyfile
from app.events import EventName
from app.housekeeping import PurgeClock, housekeeping
from app.keyfile.followed import KeyFile
from app.sessions.outcomes import Active, Unknown
from app.sessions.ports import Stores
from app.stores.sqlite import open_sqlite_store
from tests.stores.builders import keep, make_session
from tests.support.fakes import RecordedEvents
from tests.support.processes import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keyfile.create(tmp_path / "keys.json", "ES256")
    return tmp_path


@pytest.fixture
def stores(folder: Path) -> Iterator[Stores]:
    with open_sqlite_store(folder / "sessions.db") as opened:
        yield opened


@pytest.fixture
def events() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def keys(folder: Path, events: RecordedEvents) -> KeyFile:
    return KeyFile(folder / "keys.json", events)


def now() -> datetime:
    return make_session().expires_at + timedelta(days=8)


async def test_a_new_key_is_in_force_soon_after_the_file_has_changed(
    folder: Path, keys: KeyFile, stores: Stores, events: RecordedEvents
) -> None:
    async with housekeeping((keys.follow,), stores.maintenance, now, events, follow_seconds=0.01):
        kid = keyfile.add(folder / "keys.json", "ES256")
        await until(lambda: len(keys.ring.signing_keys) == 2)
    assert keys.ring.signing_keys[1].kid == kid


class Hours:
    """A monotonic clock that a test turns."""

    def __init__(self, passed: float = 0) -> None:
        self.passed = passed

    def __call__(self) -> float:
        return 3600 * self.passed


class JumpsAhead(Hours):
    """A monotonic clock that shows a month later at each look."""

    @override
    def __call__(self) -> float:
        self.passed += 30
        return super().__call__()


async def test_old_tombstones_are_purged_and_counted(
    events: RecordedEvents, keys: KeyFile, stores: Stores
) -> None:
    fresh = make_session("session-b", expires_at=now(), absolute_expires_at=now())
    await keep(stores, make_session())
    await keep(stores, fresh)
    async with housekeeping(
        (keys.follow,), stores.maintenance, now, events, timer=JumpsAhead(), purge_seconds=0.01
    ):
        await until(lambda: events.entries)
    assert events.entries == [("purged", "", {"count": 1})]
    assert await stores.sessions.touch("session-a", 0, make_session().created_at) == Unknown()
    assert await stores.sessions.touch("session-b", 0, make_session().created_at) == Active(fresh)


class CountingClock:
    """Tells how often it was asked, which is how many rounds there have been."""

    def __init__(self, days_ahead: int = 22) -> None:
        self.rounds = 0
        self._now = make_session().created_at + timedelta(days=days_ahead)

    def __call__(self) -> datetime:
        self.rounds += 1
        return self._now


async def test_a_round_that_finds_nothing_to_purge_says_nothing(
    events: RecordedEvents, keys: KeyFile, stores: Stores
) -> None:
    clock = CountingClock()
    async with housekeeping(
        (keys.follow,), stores.maintenance, clock, events, timer=JumpsAhead(), purge_seconds=0.01
    ):
        await until(lambda: clock.rounds > 2)
    assert events.entries == []


@pytest.mark.parametrize(("hours", "recorded"), [(20, []), (22, ["purged"])])
async def test_a_clock_that_is_40_days_ahead_purges_a_session_of_today_after_21_hours(
    events: RecordedEvents, keys: KeyFile, stores: Stores, hours: int, recorded: list[str]
) -> None:
    clock, timer = CountingClock(days_ahead=40), Hours()
    await keep(stores, make_session())
    async with housekeeping(
        (keys.follow,), stores.maintenance, clock, events, timer=timer, purge_seconds=0.01
    ):
        await until(lambda: clock.rounds)
        timer.passed = hours
        before = clock.rounds
        await until(lambda: clock.rounds > before + 2)
    assert events.names == recorded


def test_the_time_of_a_purge_moves_by_at_most_a_day_an_hour() -> None:
    start, timer = make_session().created_at, Hours()
    days = {"ahead": 0}
    purge_clock = PurgeClock(lambda: start + timedelta(days=days["ahead"]), timer, start)
    seen = []
    for hour, ahead in enumerate([0, 40, 40, 1, -3, 40, 0]):
        timer.passed, days["ahead"] = hour, ahead
        seen.append((purge_clock() - start).days)
    assert seen == [0, 1, 2, 1, -3, -2, -1]


def rename_table(folder: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(folder / "sessions.db")) as database:
        database.execute(f"ALTER TABLE {old} RENAME TO {new}")


async def test_purging_goes_on_after_the_store_was_in_trouble(
    events: RecordedEvents, folder: Path, keys: KeyFile, stores: Stores
) -> None:
    clock = CountingClock()
    await keep(stores, make_session())
    timer = Hours()
    async with housekeeping(
        (keys.follow,), stores.maintenance, clock, events, timer=timer, purge_seconds=0.01
    ):
        await until(lambda: clock.rounds)
        rename_table(folder, "sessions", "elsewhere")
        timer.passed, before = 30, clock.rounds
        await until(lambda: clock.rounds > before + 2)
        assert events.entries == []  # /readyz tells of the store, not a line every minute
        rename_table(folder, "elsewhere", "sessions")
        await until(lambda: events.entries)
    assert events.names == ["purged"]


async def test_a_bug_in_one_round_is_recorded_and_does_not_end_the_rounds(
    events: RecordedEvents, folder: Path, stores: Stores
) -> None:
    class StumblesOnce(RecordedEvents):
        @override
        def record(self, event: EventName, **fields: Any) -> None:
            super().record(event, **fields)
            if len(self.entries) == 1:
                raise ZeroDivisionError

    told = StumblesOnce()
    keys = KeyFile(folder / "keys.json", told)
    async with housekeeping((keys.follow,), stores.maintenance, now, events, follow_seconds=0.01):
        keyfile.add(folder / "keys.json", "oct")
        await until(lambda: told.names)
        keyfile.add(folder / "keys.json", "oct")
        await until(lambda: told.names.count("keys_reloaded") == 2)
    assert events.names == ["housekeeping_failed"]
    assert [type(error) for error in events.errors] == [ZeroDivisionError]
    assert len(keys.ring.secret_keys) == 3
