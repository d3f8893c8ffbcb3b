"""In-memory stand-ins for the core's own ports, for whoever tests something above them.

`FakeStore` passes the same contract as the real stores (tests/stores/contract), so what holds over
it holds over them. Nothing here knows files, sockets or the wall clock.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from app.errors import StoreUnavailable, TicketgateError
from app.sessions.keys import KeyRing
from app.sessions.models import Ending, Identity, Session
from app.sessions.ports import (
    Active,
    Ended,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Rotation,
    Unknown,
)

# Not on a whole second: what promises whole seconds has to cut this.
START = datetime(2026, 11, 22, 12, 0, 0, 750_000, tzinfo=UTC)
TOMBSTONE_LIFE = timedelta(days=7)
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
    """Vouches for one user, or fails as told. Remembers which tickets it was shown."""

    identity: Identity = IDENTITY
    failure: TicketgateError | None = None
    tickets: list[str] = field(default_factory=list)

    async def exchange(self, ticket: str) -> Identity:
        self.tickets.append(ticket)
        if self.failure is not None:
            raise self.failure
        return self.identity


@dataclass
class FakeKeys:
    """A key source whose ring is replaced by assignment, as a reload of the key file would."""

    ring: KeyRing


@dataclass
class AuditTrail:
    """Keeps every event as (event, session id, labels)."""

    entries: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __call__(self, event: str, *, session_id: str, **labels: str) -> None:
        self.entries.append((event, session_id, labels))

    @property
    def events(self) -> list[str]:
        return [event for event, _session_id, _labels in self.entries]


@dataclass(frozen=True)
class _Record:
    session: Session
    in_use: bool = False
    ending: Ending | None = None


class FakeStore:
    """`SessionStore` in a dictionary. Unreachable while `down` is set."""

    def __init__(self) -> None:
        self.down = False
        self._records: dict[str, _Record] = {}

    async def add(self, session: Session) -> None:
        await self._turn()
        self._records[session.id] = _Record(session)

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        await self._turn()
        found = self._find(session_id, now)
        if not isinstance(found, _Record):
            return found
        if generation == found.session.generation:
            self._records[session_id] = replace(found, in_use=True)
        return Active(found.session)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        await self._turn()
        found = self._find(rotation.session_id, rotation.now)
        if not isinstance(found, _Record):
            return found
        behind = found.session.generation - rotation.presented
        if behind in {0, -1}:
            return Rotated(self._advance(found.session, rotation), healed=behind == -1)
        age = rotation.now - found.session.last_used_at
        if behind == 1 and not found.in_use and age < rotation.recovery_window:
            return Replayed(found.session)
        self._end(found, Ending.REFRESH_REUSED, rotation.now)
        kinds: dict[int, ReuseKind] = {1: "recent_previous"}
        return Reused(kinds.get(behind, "stale" if behind > 0 else "ahead"))

    async def end(self, session_id: str, reason: Ending, now: datetime) -> bool:
        await self._turn()
        found = self._find(session_id, now)
        if not isinstance(found, _Record):
            return False
        self._end(found, reason, now)
        return True

    async def purge(self, now: datetime) -> int:
        await self._turn()
        kept = {
            session_id: record
            for session_id, record in self._records.items()
            if record.session.expires_at + TOMBSTONE_LIFE > now
        }
        purged = len(self._records) - len(kept)
        self._records = kept
        return purged

    async def check_writable(self) -> None:
        await self._turn()

    def backup(self) -> dict[str, _Record]:
        """What `restore` takes."""
        return dict(self._records)

    def restore(self, backup: dict[str, _Record]) -> None:
        """Lose every write since the backup."""
        self._records = dict(backup)

    async def _turn(self) -> None:
        # Concurrent callers interleave between commands, never inside one.
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable

    def _find(self, session_id: str, now: datetime) -> _Record | Ended | Unknown:
        record = self._records.get(session_id)
        if record is None:
            return Unknown()
        if record.ending is not None:
            return Ended(record.ending)
        return record if now < record.session.expires_at else Ended(Ending.EXPIRED)

    def _advance(self, session: Session, rotation: Rotation) -> Session:
        advanced = replace(
            session,
            generation=rotation.presented + 1,
            binding_kid=rotation.binding_kid,
            last_used_at=rotation.now,
            expires_at=min(session.absolute_expires_at, rotation.now + rotation.idle_ttl),
        )
        self._records[session.id] = _Record(advanced)
        return advanced

    def _end(self, record: _Record, reason: Ending, now: datetime) -> None:
        tombstone = replace(record.session, expires_at=now, sealed_profile=b"")
        self._records[tombstone.id] = replace(record, session=tombstone, ending=reason)
