"""Bans of users, set by the rest of the backend."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.errors import FieldError, InvalidRequest, NotFound, UserBanned
from app.events import Events
from app.sessions.models import Ban, EndReason
from app.sessions.ports import BanStore, Clock


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
            raise InvalidRequest([FieldError("/until", "must be in the future")])
        for session_id in await self.store.put(ban):
            self.events.record("session_ended", session_id=session_id, reason=EndReason.BANNED)
        return ban

    async def find(self, subject: str) -> Ban:
        """Return the ban in force, or raise NotFound."""
        ban = await self.store.find(subject, self.clock())
        if ban is None:
            raise NotFound
        return ban

    async def check(self, subject: str) -> None:
        """Raise UserBanned if a ban is in force."""
        ban = await self.store.find(subject, self.clock())
        if ban is not None:
            raise UserBanned(ban.until)

    async def in_force(self) -> Sequence[Ban]:
        """Return the bans in force, at most MAX_LISTED_BANS; those that last longest come first."""
        return await self.store.list_bans(self.clock())

    async def lift(self, subject: str) -> None:
        """Lift the ban, if there is one."""
        await self.store.lift(subject, self.clock())
