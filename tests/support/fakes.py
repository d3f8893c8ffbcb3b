"""Test doubles of the core's ports: clock, identity provider, keys, events.

Stores are real: SQLite in a file of the test. Nothing here uses files, sockets or the wall clock.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.events import EventName
from app.jose.key_ring import KeyRing
from app.sessions.models import Identity

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
IDENTITY = Identity(
    subject="5e00000000000000000000aa",
    claims={"nickname": "小明", "phone_number": "+8613800138000"},
    authenticated_at=datetime(2026, 11, 22, 11, 59, 58, tzinfo=UTC),
)


@dataclass
class FakeClock:
    """Stands still until it is moved."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@dataclass
class FakeIdentityProvider:
    """Returns one user, or raises `failure`. Remembers the tickets.

    `gate` keeps exchanges under way until it is set.
    """

    identity: Identity = IDENTITY
    failure: Exception | None = None
    tickets: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    async def exchange(self, ticket: str, network: str) -> Identity:
        self.tickets.append(ticket)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.identity


@dataclass
class FakeKeys:
    """A key source whose ring is replaced by assignment, as a reload of the key file would."""

    ring: KeyRing


async def unlimited(_session_id: str) -> None:
    """A limit that refuses nothing."""


@dataclass
class RecordedEvents:
    """Keeps every event as (event, session id, other fields)."""

    entries: list[tuple[str, str, dict[str, str | int]]] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        if error is not None:
            self.errors.append(error)
        self.entries.append((event, str(fields.pop("session_id", "")), fields))

    @property
    def names(self) -> list[str]:
        return [event for event, _session_id, _fields in self.entries]
