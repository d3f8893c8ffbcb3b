"""`SessionStore` in dictionaries, for whoever tests something above it.

It passes the same contract as the real stores (tests/stores/contract), so what holds over it holds
over them. It knows no file, no lock and no wall clock.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.errors import StoreUnavailable
from app.sessions.models import Ban, EndReason, Session
from app.sessions.outcomes import (
    Acquired,
    Active,
    AlreadyUsed,
    Banned,
    Ended,
    Held,
    KeyConflict,
    Opened,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Unknown,
)
from app.sessions.ports import (
    BanStore,
    Maintenance,
    Rotation,
    SessionLimits,
    SessionStore,
    Stores,
    TicketLease,
    TicketStore,
)

TOMBSTONE_LIFE = timedelta(days=7)


@dataclass(frozen=True)
class _Record:
    session: Session
    in_use: bool = False
    ending: Ended | None = None


@dataclass(frozen=True)
class _Hold:
    lease: TicketLease
    session_id: str | None = None


@dataclass(frozen=True)
class FakeState:
    """Everything that is kept; without arguments, nothing."""

    records: dict[str, _Record] = field(default_factory=dict)
    holds: dict[bytes, _Hold] = field(default_factory=dict)
    bans: dict[str, Ban] = field(default_factory=dict)

    def copy(self) -> "FakeState":
        return FakeState(dict(self.records), dict(self.holds), dict(self.bans))


class FakeStore(TicketStore, SessionStore, BanStore, Maintenance):
    """All ports of a store. Unreachable while `down` is set."""

    def __init__(self) -> None:
        self.down = False
        self._state = FakeState()

    @property
    def ports(self) -> Stores:
        return Stores(self, self, self, self)

    def backup(self) -> FakeState:
        """What `restore` takes."""
        return self._state.copy()

    def restore(self, backup: FakeState) -> None:
        """Lose every write since the backup."""
        self._state = backup.copy()

    # --- a login ---

    async def acquire(self, lease: TicketLease) -> Acquired | Held | AlreadyUsed | KeyConflict:
        await self._turn()
        self._forget_claims(lease.now)
        hold = self._state.holds.get(lease.ticket_hash)
        if self._is_bound_elsewhere(lease):
            return KeyConflict()
        if hold is not None and hold.session_id is not None:
            return self._redeemed(hold, lease)
        if hold is not None and lease.now < hold.lease.lease_ends_at:
            return Held(hold.lease.lease_ends_at)
        self._state.holds[lease.ticket_hash] = _Hold(lease)
        return Acquired()

    async def release(self, lease: TicketLease) -> None:
        await self._turn()
        self._release(lease)

    async def create_session(
        self, lease: TicketLease, session: Session, limits: SessionLimits
    ) -> Opened | AlreadyUsed | Banned:
        await self._turn()
        hold = self._state.holds.get(lease.ticket_hash)
        if hold is not None and hold.session_id is not None:
            return self._redeemed(hold, lease)
        ban = self._ban_of(session.subject, session.created_at)
        if ban is not None:
            self._release(lease)
            return Banned(ban.until)
        replaced = self._replaced_by(session, limits)
        for each in replaced:
            self._end(each, Ended(EndReason.REPLACED, session.device_type), session.created_at)
        self._state.records[session.id] = _Record(session)
        kept = replace(lease, key_hash=None) if self._is_bound_elsewhere(lease) else lease
        hold = hold or _Hold(kept)
        self._state.holds[lease.ticket_hash] = replace(hold, session_id=session.id)
        return Opened(replaced)

    # --- a session ---

    async def touch(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        await self._turn()
        found = self._find(session_id, now)
        if not isinstance(found, _Record):
            return found
        if generation == found.session.generation:
            self._state.records[session_id] = replace(found, in_use=True)
        return Active(found.session)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        await self._turn()
        found = self._find(rotation.session_id, rotation.now)
        if not isinstance(found, _Record):
            return found
        behind = found.session.generation - rotation.presented
        if behind in {0, -1}:
            return Rotated(self._advance(found.session, rotation), rolled_forward=behind == -1)
        age = rotation.now - found.session.last_used_at
        if behind == 1 and not found.in_use and age < rotation.recovery_window:
            return Replayed(found.session)
        self._end(rotation.session_id, Ended(EndReason.REFRESH_REUSED), rotation.now)
        kinds: dict[int, ReuseKind] = {1: "recent_previous"}
        return Reused(kinds.get(behind, "stale" if behind > 0 else "ahead"))

    async def end(
        self, session_id: str, subject: str, reason: EndReason, now: datetime
    ) -> Ended | Unknown:
        await self._turn()
        record = self._state.records.get(session_id)
        if record is None or record.session.subject != subject:
            return Unknown()
        found = self._find(session_id, now)
        if not isinstance(found, _Record):
            return found
        self._end(session_id, Ended(reason), now)
        return Ended(reason, changed=True)

    # --- a user ---

    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        await self._turn()
        return self._living(subject, now)

    async def end_all(
        self, subject: str, reason: EndReason, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        await self._turn()
        return self._end_all(subject, reason, now, keep)

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        await self._turn()
        if self._ban_of(subject, now) is None:
            self._state.bans.pop(subject, None)
        ended = self._end_all(subject, EndReason.ERASED, now)
        for session_id, record in self._state.records.items():
            if record.session.subject == subject:
                self._state.records[session_id] = _without_subject(record)
        return ended

    async def put(self, ban: Ban) -> Sequence[str]:
        await self._turn()
        self._state.bans[ban.subject] = ban
        return self._end_all(ban.subject, EndReason.BANNED, ban.created_at)

    async def lift(self, subject: str) -> None:
        await self._turn()
        self._state.bans.pop(subject, None)

    async def find(self, subject: str, now: datetime) -> Ban | None:
        await self._turn()
        return self._ban_of(subject, now)

    # --- the store itself ---

    async def purge(self, now: datetime) -> int:
        await self._turn()
        before = self._rows()
        self._forget_claims(now)
        for session_id, record in list(self._state.records.items()):
            if record.session.expires_at + TOMBSTONE_LIFE <= now:
                del self._state.records[session_id]
        for subject, ban in list(self._state.bans.items()):
            if ban.until is not None and ban.until <= now:
                del self._state.bans[subject]
        return before - self._rows()

    async def check_writable(self) -> None:
        await self._turn()

    async def _turn(self) -> None:
        # Concurrent callers interleave between commands, never inside one.
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailable

    def _rows(self) -> int:
        return len(self._state.records) + len(self._state.holds) + len(self._state.bans)

    def _is_bound_elsewhere(self, lease: TicketLease) -> bool:
        return lease.key_hash is not None and any(
            hold.lease.key_hash == lease.key_hash and ticket_hash != lease.ticket_hash
            for ticket_hash, hold in self._state.holds.items()
        )

    def _redeemed(self, hold: _Hold, lease: TicketLease) -> AlreadyUsed:
        if lease.key_hash is None or lease.key_hash != hold.lease.key_hash:
            return AlreadyUsed(None)
        found = self._find(hold.session_id or "", lease.now)
        unused = isinstance(found, _Record) and found.session.generation == 0
        return AlreadyUsed(found.session if isinstance(found, _Record) and unused else None)

    def _release(self, lease: TicketLease) -> None:
        hold = self._state.holds.get(lease.ticket_hash)
        if hold is not None and hold.lease.holder == lease.holder and hold.session_id is None:
            del self._state.holds[lease.ticket_hash]

    def _forget_claims(self, now: datetime) -> None:
        for ticket_hash, hold in list(self._state.holds.items()):
            if hold.lease.expires_at <= now:
                del self._state.holds[ticket_hash]

    def _ban_of(self, subject: str, now: datetime) -> Ban | None:
        ban = self._state.bans.get(subject)
        in_force = ban is not None and (ban.until is None or now < ban.until)
        return ban if in_force else None

    def _find(self, session_id: str, now: datetime) -> _Record | Ended | Unknown:
        record = self._state.records.get(session_id)
        if record is None:
            return Unknown()
        if record.ending is not None:
            return record.ending
        return record if now < record.session.expires_at else Ended(EndReason.EXPIRED)

    def _living(self, subject: str, now: datetime) -> list[Session]:
        found = [self._find(session_id, now) for session_id in self._state.records]
        living = [each.session for each in found if isinstance(each, _Record)]
        own = [session for session in living if session.subject == subject]
        return sorted(own, key=lambda session: session.created_at)

    def _replaced_by(self, newcomer: Session, limits: SessionLimits) -> list[str]:
        living = self._living(newcomer.subject, newcomer.created_at)
        replaced: list[str] = []
        if limits.one_per_device_type and newcomer.device_type is not None:
            replaced = [each.id for each in living if each.device_type == newcomer.device_type]
        rest = [each.id for each in living if each.id not in replaced]
        while limits.max_per_user and len(rest) >= limits.max_per_user:
            replaced.append(rest.pop(0))
        return replaced

    def _advance(self, session: Session, rotation: Rotation) -> Session:
        advanced = replace(
            session,
            generation=rotation.presented + 1,
            secret_kid=rotation.secret_kid,
            last_used_at=rotation.now,
            expires_at=min(session.absolute_expires_at, rotation.now + rotation.idle_ttl),
        )
        self._state.records[session.id] = _Record(advanced)
        return advanced

    def _end_all(
        self, subject: str, reason: EndReason, now: datetime, keep: str | None = None
    ) -> list[str]:
        ids = [session.id for session in self._living(subject, now) if session.id != keep]
        for session_id in ids:
            self._end(session_id, Ended(reason), now)
        return ids

    def _end(self, session_id: str, ending: Ended, now: datetime) -> None:
        record = self._state.records[session_id]
        tombstone = replace(record.session, expires_at=now, encrypted_profile=b"")
        self._state.records[session_id] = replace(record, session=tombstone, ending=ending)


def _without_subject(record: _Record) -> _Record:
    nobody = replace(record.session, subject="", device_type=None, encrypted_profile=b"")
    return replace(record, session=nobody, ending=record.ending or Ended(EndReason.EXPIRED))
