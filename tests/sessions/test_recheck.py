"""Looks at users: when Authing is asked, and what its answer does to sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from app.errors import AuthingTimeout, StoreUnavailable
from app.sessions.models import EndReason, epoch
from app.sessions.outcomes import Active, Ended
from app.sessions.ports import Stores
from app.sessions.users import MAX_QUEUED, Cause, Recheck
from tests.stores.builders import NOW, keep, make_session
from tests.support.fakes import FakeClock, RecordedEvents
from tests.support.processes import until

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
_BARRIER = "barrier-"
_numbers = count()


@dataclass
class Directory:
    """Knows who is blocked. `failure` is raised instead. A barrier waits until `gate` is set.

    `after` is called while Authing is asked.
    """

    blocked: set[str] = field(default_factory=set)
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)
    after: Callable[[], None] = lambda: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    at_the_gate: int = 0

    async def may_sign_in(self, subject: str) -> bool:
        if subject.startswith(_BARRIER):
            self.at_the_gate += 1
            await self.gate.wait()
            return True
        self.asked.append(subject)
        self.after()
        if self.failure is not None:
            raise self.failure
        return subject not in self.blocked


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def recheck(
    stores: Stores, directory: Directory, clock: FakeClock, events: RecordedEvents
) -> Recheck:
    return Recheck(directory, stores.sessions, HOUR, clock, events)


@asynccontextmanager
async def worked_off(recheck: Recheck, directory: Directory) -> AsyncIterator[None]:
    """Work on what is queued in the block, and on all of it before the block ends.

    The queue is in order. So all is done when each of the four workers stands at the gate.
    """
    async with recheck.running():
        yield
        directory.gate.clear()
        directory.at_the_gate = 0
        while directory.at_the_gate < 4:
            if len(recheck._causes) == 0:
                recheck.enqueue(Cause.REFRESHED, f"{_BARRIER}{next(_numbers)}")
            await asyncio.sleep(0)
        directory.gate.set()


async def sign_in(stores: Stores, *subjects: str) -> None:
    for subject in subjects:
        await keep(stores, make_session(f"session of {subject}", subject=subject))


@pytest.mark.parametrize(
    ("failure", "steps"),
    [
        (None, [(0, Cause.REFRESHED, 1), (3599, Cause.REFRESHED, 1), (3600, Cause.REFRESHED, 2)]),
        (None, [(0, Cause.REFRESHED, 1), (3599, Cause.SIGNED_IN, 1), (7198, Cause.REFRESHED, 1)]),
        (None, [(0, Cause.SIGNED_IN, 0), (3599, Cause.REFRESHED, 0), (3600, Cause.REFRESHED, 1)]),
        (AuthingTimeout("deadline"), [(0, Cause.REFRESHED, 1), (59, Cause.REFRESHED, 1)]),
        (AuthingTimeout("deadline"), [(0, Cause.REFRESHED, 1), (60, Cause.REFRESHED, 2)]),
    ],
    ids=["a refresh", "a login", "the end of a period", "too early", "no answer"],
)
async def test_a_user_is_asked_about_once_in_a_period_by_all_instances(
    recheck: Recheck,
    directory: Directory,
    clock: FakeClock,
    failure: Exception | None,
    steps: list[tuple[int, Cause, int]],
) -> None:
    another, directory.failure = replace(recheck), failure
    for seconds, cause, asked in steps:
        clock.now = NOW + seconds * SECOND
        async with worked_off(recheck, directory), worked_off(another, directory):
            for _ in range(3):
                recheck.enqueue(cause, "user")
                another.enqueue(cause, "user")
                await asyncio.sleep(0)
        assert directory.asked == ["user"] * asked


async def test_only_a_blocked_user_loses_sessions_all_of_them(
    stores: Stores, recheck: Recheck, directory: Directory, clock: FakeClock, events: RecordedEvents
) -> None:
    await sign_in(stores, "user", "other")
    await keep(stores, make_session("second", subject="user"))
    directory.blocked.add("user")
    directory.after = lambda: setattr(clock, "now", NOW + 6 * SECOND)  # Authing takes its time
    async with worked_off(recheck, directory):
        recheck.enqueue(Cause.REFRESHED, "user")
        recheck.enqueue(Cause.REFRESHED, "other")
    revocations = (await stores.sessions.revocations("", NOW, HOUR)).revocations
    assert [each["ended_at"] for _, each in revocations] == [epoch(NOW) + 6] * 2
    ended = Ended(EndReason.ACCOUNT_BLOCKED)
    assert await stores.sessions.touch("session of user", 0, NOW) == ended
    assert await stores.sessions.touch("second", 0, NOW) == ended
    assert isinstance(await stores.sessions.touch("session of other", 0, NOW), Active)
    reason = {"reason": EndReason.ACCOUNT_BLOCKED}
    for session in ("session of user", "second"):
        assert ("session_ended", session, reason) in events.entries
    assert ("user_looked_at", "", {"outcome": "account_blocked"}) in events.entries
    assert ("user_looked_at", "", {"outcome": "ok"}) in events.entries


async def test_a_hint_asks_at_once_but_only_about_users_with_sessions(
    stores: Stores, recheck: Recheck, directory: Directory
) -> None:
    await sign_in(stores, "user")
    async with worked_off(recheck, directory):
        recheck.enqueue(Cause.SIGNED_IN, "user")
    for _ in range(2):
        async with worked_off(recheck, directory):
            recheck.enqueue(Cause.HINT, "stranger")
            recheck.enqueue(Cause.HINT, "user")
            recheck.enqueue(Cause.HINT, "user")
            recheck.enqueue(Cause.REFRESHED, "user")
    assert directory.asked == ["user", "user"]


async def test_a_hint_during_a_look_asks_again(
    stores: Stores, recheck: Recheck, clock: FakeClock, events: RecordedEvents
) -> None:
    class SlowDirectory(Directory):
        """Answers with what was true when it was asked."""

        async def may_sign_in(self, subject: str) -> bool:
            answer = await super().may_sign_in(subject)
            await self.gate.wait()
            return answer

    await sign_in(stores, "user")
    slow = SlowDirectory()
    busy = Recheck(slow, stores.sessions, HOUR, clock, events)
    async with busy.running():
        busy.enqueue(Cause.HINT, "user")
        await until(lambda: slow.asked)
        slow.blocked.add("user")
        busy.enqueue(Cause.HINT, "user")
        slow.gate.set()
        await until(lambda: "session_ended" in events.names)
    assert slow.asked == ["user", "user"]


async def test_the_queue_is_bounded_and_four_are_asked_about_at_a_time(
    recheck: Recheck, directory: Directory
) -> None:
    for number in range(MAX_QUEUED + 500):
        recheck.enqueue(Cause.REFRESHED, f"{_BARRIER}{number} of many")
    async with recheck.running():
        await until(lambda: directory.at_the_gate >= 4)
        for _ in range(50):
            await asyncio.sleep(0)
        assert directory.at_the_gate == 4
        directory.gate.set()
        await until(lambda: not recheck._causes and directory.at_the_gate >= MAX_QUEUED)
    assert directory.at_the_gate == MAX_QUEUED


@pytest.mark.parametrize(
    ("failure", "event"),
    [
        (StoreUnavailable(), ("user_looked_at", "", {"outcome": "store_unavailable"})),
        (AuthingTimeout("deadline"), ("user_looked_at", "", {"outcome": "deadline"})),
        (ValueError("a bug"), ("housekeeping_failed", "", {})),
    ],
)
async def test_a_failure_ends_neither_the_looks_nor_a_session(
    stores: Stores, recheck: Recheck, failure: Exception, event: tuple[str, str, dict[str, Any]]
) -> None:
    directory, events = recheck.directory, recheck.events
    assert isinstance(directory, Directory)
    assert isinstance(events, RecordedEvents)
    await sign_in(stores, "user")
    for directory.failure in (failure, None):
        async with worked_off(recheck, directory):
            for number in range(8):
                recheck.enqueue(Cause.REFRESHED, f"user {directory.failure} {number}")
    assert events.entries.count(event) == 8
    assert len(directory.asked) == 16
    assert isinstance(await stores.sessions.touch("session of user", 0, NOW), Active)


async def test_without_a_directory_nothing_is_queued(
    stores: Stores, clock: FakeClock, events: RecordedEvents
) -> None:
    off = Recheck(None, stores.sessions, HOUR, clock, events)
    async with off.running():
        for cause in Cause:
            off.enqueue(cause, "user")
        assert off._causes == {}
