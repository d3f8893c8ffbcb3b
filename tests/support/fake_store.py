"""`SessionStore` in dictionaries, for whoever tests something above it.

It passes the same contract as the real stores (tests/stores/contract), so what holds over it holds
over them. It knows no file, no lock and no wall clock.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from app.errors import StoreUnavailable
from app.sessions.models import Ban, Ending, Session
from app.sessions.ports import (
    Active,
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    Ended,
    KeyTaken,
    Opened,
    Redeemed,
    Replayed,
    Reused,
    ReuseKind,
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)

TOMBSTONE_LIFE = timedelta(days=7)


@dataclass(frozen=True)
class _Record:
    session: Session
    in_use: bool = False
    ending: Ended | None = None


@dataclass(frozen=True)
class _Hold:
    claim: Claim
    session_id: str | None = None


@dataclass(frozen=True)
class FakeState:
    """Everything that is kept; without arguments, nothing."""

    records: dict[str, _Record] = field(default_factory=dict)
    holds: dict[bytes, _Hold] = field(default_factory=dict)
    bans: dict[str, Ban] = field(default_factory=dict)

    def copy(self) -> "FakeState":
        return FakeState(dict(self.records), dict(self.holds), dict(self.bans))


class FakeStore:
    """Unreachable while `down` is set."""

    def __init__(self) -> None:
        self.down = False
        self._state = FakeState()

    def backup(self) -> FakeState:
        """What `restore` takes."""
        return self._state.copy()

    def restore(self, backup: FakeState) -> None:
        """Lose every write since the backup."""
        self._state = backup.copy()

    # --- a login ---

    async def claim(self, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
        await self._turn()
        self._forget_claims(claim.now)
        hold = self._state.holds.get(claim.ticket_hash)
        if self._is_bound_elsewhere(claim):
            return KeyTaken()
        if hold is not None and hold.session_id is not None:
            return self._redeemed(hold, claim)
        if hold is not None and claim.now < hold.claim.lease_ends_at:
            return ClaimHeld(hold.claim.lease_ends_at)
        self._state.holds[claim.ticket_hash] = _Hold(claim)
        return Claimed()

    async def release(self, claim: Claim) -> None:
        await self._turn()
        self._release(claim)

    async def open(
        self, claim: Claim, session: Session, limits: SessionLimits
    ) -> Opened | Redeemed | Banned:
        await self._turn()
        hold = self._state.holds.get(claim.ticket_hash)
        if hold is not None and hold.session_id is not None:
            return self._redeemed(hold, claim)
        ban = self._ban_of(session.subject, session.created_at)
        if ban is not None:
            self._release(claim)
            return Banned(ban.until)
        replaced = self._replaced_by(session, limits)
        for each in replaced:
            self._end(each, Ended(Ending.REPLACED, session.device_type), session.created_at)
        self._state.records[session.id] = _Record(session)
        kept = replace(claim, key_hash=None) if self._is_bound_elsewhere(claim) else claim
        hold = hold or _Hold(kept)
        self._state.holds[claim.ticket_hash] = replace(hold, session_id=session.id)
        return Opened(replaced)

    # --- a session ---

    async def see(
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
            return Rotated(self._advance(found.session, rotation), healed=behind == -1)
        age = rotation.now - found.session.last_used_at
        if behind == 1 and not found.in_use and age < rotation.recovery_window:
            return Replayed(found.session)
        self._end(rotation.session_id, Ended(Ending.REFRESH_REUSED), rotation.now)
        kinds: dict[int, ReuseKind] = {1: "recent_previous"}
        return Reused(kinds.get(behind, "stale" if behind > 0 else "ahead"))

    async def end(
        self, session_id: str, subject: str, reason: Ending, now: datetime
    ) -> Ended | Unknown:
        await self._turn()
        record = self._state.records.get(session_id)
        if record is None or record.session.subject != subject:
            return Unknown()
        found = self._find(session_id, now)
        if not isinstance(found, _Record):
            return found
        self._end(session_id, Ended(reason), now)
        return Ended(reason, just_now=True)

    # --- a user ---

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        await self._turn()
        return self._living(subject, now)

    async def end_all(
        self, subject: str, reason: Ending, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        await self._turn()
        return self._end_all(subject, reason, now, keep)

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        await self._turn()
        if self._ban_of(subject, now) is None:
            self._state.bans.pop(subject, None)
        ended = self._end_all(subject, Ending.ERASED, now)
        for session_id, record in self._state.records.items():
            if record.session.subject == subject:
                self._state.records[session_id] = _without_subject(record)
        return ended

    async def ban(self, ban: Ban) -> Sequence[str]:
        await self._turn()
        self._state.bans[ban.subject] = ban
        return self._end_all(ban.subject, Ending.BANNED, ban.created_at)

    async def lift_ban(self, subject: str) -> None:
        await self._turn()
        self._state.bans.pop(subject, None)

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
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

    def _is_bound_elsewhere(self, claim: Claim) -> bool:
        return claim.key_hash is not None and any(
            hold.claim.key_hash == claim.key_hash and ticket_hash != claim.ticket_hash
            for ticket_hash, hold in self._state.holds.items()
        )

    def _redeemed(self, hold: _Hold, claim: Claim) -> Redeemed:
        if claim.key_hash is None or claim.key_hash != hold.claim.key_hash:
            return Redeemed(None)
        found = self._find(hold.session_id or "", claim.now)
        unused = isinstance(found, _Record) and found.session.generation == 0
        return Redeemed(found.session if isinstance(found, _Record) and unused else None)

    def _release(self, claim: Claim) -> None:
        hold = self._state.holds.get(claim.ticket_hash)
        if hold is not None and hold.claim.holder == claim.holder and hold.session_id is None:
            del self._state.holds[claim.ticket_hash]

    def _forget_claims(self, now: datetime) -> None:
        for ticket_hash, hold in list(self._state.holds.items()):
            if hold.claim.expires_at <= now:
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
        return record if now < record.session.expires_at else Ended(Ending.EXPIRED)

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
            binding_kid=rotation.binding_kid,
            last_used_at=rotation.now,
            expires_at=min(session.absolute_expires_at, rotation.now + rotation.idle_ttl),
        )
        self._state.records[session.id] = _Record(advanced)
        return advanced

    def _end_all(
        self, subject: str, reason: Ending, now: datetime, keep: str | None = None
    ) -> list[str]:
        ids = [session.id for session in self._living(subject, now) if session.id != keep]
        for session_id in ids:
            self._end(session_id, Ended(reason), now)
        return ids

    def _end(self, session_id: str, ending: Ended, now: datetime) -> None:
        record = self._state.records[session_id]
        tombstone = replace(record.session, expires_at=now, sealed_profile=b"")
        self._state.records[session_id] = replace(record, session=tombstone, ending=ending)


def _without_subject(record: _Record) -> _Record:
    nobody = replace(record.session, subject="", device_type=None, sealed_profile=b"")
    return replace(record, session=nobody, ending=record.ending or Ended(Ending.EXPIRED))
