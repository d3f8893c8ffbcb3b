"""Banning users, for the rest of the backend."""

from dataclasses import dataclass
from datetime import datetime

from app.errors import FieldError, InvalidRequest, NotFound
from app.sessions.models import Ban, Ending
from app.sessions.ports import Audit, Clock, SessionStore


@dataclass(frozen=True, slots=True)
class BanService:
    """Bans users, lifts bans, and tells of them. All raise StoreUnavailable."""

    store: SessionStore
    clock: Clock
    audit: Audit

    async def ban(self, subject: str, reason: str, until: datetime | None) -> Ban:
        """Ban the user, or change the ban. Their sessions end in the same step.

        Raises:
            InvalidRequest: the ban would be over already.
        """
        ban = Ban(subject, reason, created_at=self.clock(), until=until)
        if until is not None and until <= ban.created_at:
            raise InvalidRequest([FieldError("/until", "must be in the future")])
        for session_id in await self.store.ban(ban):
            self.audit("session_ended", session_id=session_id, reason=Ending.BANNED)
        return ban

    async def find(self, subject: str) -> Ban:
        """The ban in force.

        Raises:
            NotFound: there is none.
        """
        ban = await self.store.find_ban(subject, self.clock())
        if ban is None:
            raise NotFound
        return ban

    async def lift(self, subject: str) -> None:
        """Lift the ban. Lifting none is no error."""
        await self.store.lift_ban(subject)
