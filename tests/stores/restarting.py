"""A store that is closed and opened again whenever nobody is in it.

Under the contract suite it shows that nothing which decides about a session lives in the process:
a restart between any two steps changes no answer.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

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
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)
from app.stores.sqlite import SqliteStore


class RestartingStore:
    def __init__(self, start: Callable[[], SqliteStore]) -> None:
        self._start = start
        self._running: SqliteStore | None = None
        self._inside = 0

    async def claim(self, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
        with self._open() as store:
            return await store.claim(claim)

    async def release(self, claim: Claim) -> None:
        with self._open() as store:
            await store.release(claim)

    async def open(
        self, claim: Claim, session: Session, limits: SessionLimits
    ) -> Opened | Redeemed | Banned:
        with self._open() as store:
            return await store.open(claim, session, limits)

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        with self._open() as store:
            return await store.see(session_id, generation, now)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        with self._open() as store:
            return await store.rotate(rotation)

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        with self._open() as store:
            return await store.sessions_of(subject, now)

    async def end(
        self, session_id: str, subject: str, reason: Ending, now: datetime
    ) -> Ended | Unknown:
        with self._open() as store:
            return await store.end(session_id, subject, reason, now)

    async def end_all(
        self, subject: str, reason: Ending, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        with self._open() as store:
            return await store.end_all(subject, reason, now, keep=keep)

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        with self._open() as store:
            return await store.erase(subject, now)

    async def ban(self, ban: Ban) -> Sequence[str]:
        with self._open() as store:
            return await store.ban(ban)

    async def lift_ban(self, subject: str) -> None:
        with self._open() as store:
            await store.lift_ban(subject)

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
        with self._open() as store:
            return await store.find_ban(subject, now)

    async def purge(self, now: datetime) -> int:
        with self._open() as store:
            return await store.purge(now)

    async def check_writable(self) -> None:
        with self._open() as store:
            await store.check_writable()

    @contextmanager
    def _open(self) -> Iterator[SqliteStore]:
        store = self._running = self._running or self._start()
        self._inside += 1
        try:
            yield store
        finally:
            self._inside -= 1
            if self._inside == 0:
                store.close()
                self._running = None
