"""Bans of users, set by the rest of the backend, and users that are blocked at Authing.

After a refresh, Authing is asked about the user. No request waits for this look. Only a definite
response ends sessions, so a failure of Authing ends none (promise 8).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import IntEnum

from app import errors
from app.events import Events
from app.sessions.models import Ban, End, EndReason
from app.sessions.ports import BanStore, Clock, SessionStore, UserDirectory
from app.sessions.sessions import record_ended

MAX_QUEUED = 1000
"""Users in the queue. Further ones are left out until their next refresh."""
_CONCURRENT = 4
_RETRY_AFTER = timedelta(seconds=60)
"""Until the next look, if the last one failed. It is longer than a look takes."""


@dataclass(frozen=True, slots=True)
class BanService:
    """Sets, shows and lifts bans. Every method may raise StoreUnavailable."""

    store: BanStore
    clock: Clock
    events: Events

    async def ban(self, subject: str, reason: str, until: datetime | None) -> Ban:
        """Ban the user until a future instant, or for good. The user's sessions end in one step."""
        ban = Ban(subject, reason, created_at=self.clock(), until=until)
        if until is not None and until <= ban.created_at:
            raise errors.InvalidRequest([errors.FieldError("/until", "must be in the future")])
        record_ended(self.events, await self.store.put(ban), EndReason.BANNED)
        return ban

    async def find(self, subject: str) -> Ban:
        """Return the ban in force, or raise NotFound."""
        ban = await self.store.find(subject, self.clock())
        if ban is None:
            raise errors.NotFound
        return ban

    async def check(self, subject: str) -> None:
        """Raise UserBanned if a ban is in force."""
        ban = await self.store.find(subject, self.clock())
        if ban is not None:
            raise errors.UserBanned(ban.until)

    async def in_force(self) -> Sequence[Ban]:
        """Return the bans in force, at most MAX_LISTED_BANS; those that last longest come first."""
        return await self.store.list_bans(self.clock())

    async def lift(self, subject: str) -> None:
        """Lift the ban, if there is one."""
        await self.store.lift(subject, self.clock())


class Cause(IntEnum):
    """Why a user is in the queue; the greatest cause counts.

    A login counts as a look: Authing has just vouched for the user. A hint is not believed: the
    user is looked at now, if there are sessions.
    """

    REFRESHED = 0
    SIGNED_IN = 1
    HINT = 2


@dataclass(frozen=True, slots=True)
class Recheck:
    """Asks a directory, if there is one, about a user at most once in `period` on all instances."""

    directory: UserDirectory | None
    store: SessionStore
    period: timedelta
    clock: Clock
    events: Events
    _causes: dict[str, Cause] = field(default_factory=dict, init=False)
    _queued: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0), init=False)

    def enqueue(self, cause: Cause, subject: str) -> None:
        """Put the user into the queue, unless it is full."""
        if self.directory is None:
            return
        if subject in self._causes:
            self._causes[subject] = max(cause, self._causes[subject])
        elif len(self._causes) < MAX_QUEUED:
            self._causes[subject] = cause
            self._queued.release()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work on the queue while the context is open."""
        workers = [asyncio.create_task(self._work()) for _ in range(_CONCURRENT)]
        try:
            yield
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._queued.acquire()
            subject = next(iter(self._causes))
            try:
                await self._handle(subject, self._causes.pop(subject))
            except errors.StoreUnavailable:
                self.events.record("user_looked_at", outcome=errors.StoreUnavailable.code)
            except Exception as error:  # noqa: BLE001  # a bug must not end the looks
                self.events.record("housekeeping_failed", error=error)

    async def _handle(self, subject: str, cause: Cause) -> None:
        now, store = self.clock(), self.store
        if cause is Cause.SIGNED_IN:
            await store.schedule_look(subject, now, self.period, force=True)
            return
        if cause is Cause.HINT and not await store.active_sessions(subject, now):
            return
        # The look is due again soon, until its result is known: this process may die meanwhile.
        pause, is_hint = min(self.period, _RETRY_AFTER), cause is Cause.HINT
        if await store.schedule_look(subject, now, pause, force=is_hint):
            await self._look(subject, now)

    async def _look(self, subject: str, now: datetime) -> None:
        try:
            may_sign_in = self.directory is None or await self.directory.may_sign_in(subject)
        except errors.AuthingError as error:
            self.events.record("user_looked_at", outcome=error.outcome)
            return
        if may_sign_in:
            await self.store.schedule_look(subject, now, self.period, force=True)
        else:
            reason = EndReason.ACCOUNT_BLOCKED
            # The clock anew: while Authing was asked, the user may have got new access tokens.
            ended = await self.store.end_all(subject, End(reason, self.clock()))
            record_ended(self.events, ended, reason)
        self.events.record("user_looked_at", outcome="ok" if may_sign_in else "account_blocked")
