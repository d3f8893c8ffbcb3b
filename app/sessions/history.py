"""What has happened to a user's sessions, and by which cause each ended.

The stores keep records and notes. Here they become events, and each end gets an author.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from app.errors import NotFound
from app.sessions.models import EndReason, Note, SessionRecord
from app.sessions.ports import Clock, HistoryStore

Author: TypeAlias = Literal[
    "this_device", "other_device", "service", "ban", "authing", "limit", "expiry", "reuse"
]
_AUTHORS: dict[EndReason, Author] = {
    EndReason.LOGGED_OUT: "this_device",
    EndReason.KICKED: "service",
    EndReason.REPLACED: "limit",
    EndReason.BANNED: "ban",
    EndReason.ACCOUNT_BLOCKED: "authing",
    EndReason.EXPIRED: "expiry",
    EndReason.REFRESH_REUSED: "reuse",
}
EVENTS = (
    *("ban_lifted", "opened", "login_replayed", "session_bound", "refreshed", "rolled_forward"),
    *("refresh_replayed", "proof_refused", "refresh_reused", "ended", "banned"),
)
"""All events, in the order in which they follow each other within one second."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, or the last of `count` equal ones.

    `session` is None for bans. `kind` is the kind of reuse, the fault of a proof, the limit of an
    expiry (`idle`, `absolute`), or the limit that a login exceeded. `ended_by` is the session that
    asked for the end.
    """

    event: str
    at: datetime
    session: SessionRecord | None
    kind: str = ""
    count: int = 1
    first_at: datetime | None = None
    reason: EndReason | None = None
    by: Author | None = None
    ended_by: str = ""


@dataclass(frozen=True, slots=True)
class HistoryService:
    """Tells the history of active sessions, and of those that ended less than `ttl` ago."""

    store: HistoryStore
    clock: Clock
    ttl: timedelta

    async def of_user(self, subject: str) -> Sequence[Happening]:
        """Return what happened to the user's sessions, newest first.

        Raises:
            NotFound: nothing is known of the user.
            StoreUnavailable: the store cannot be asked.
        """
        return self._told(*await self.store.of_user(subject))

    async def of_session(self, session_id: str) -> Sequence[Happening]:
        """Return what happened to one session, newest first, or raise as `of_user`."""
        return self._told(*await self.store.of_session(session_id))

    def _told(self, sessions: Sequence[SessionRecord], bans: Sequence[Note]) -> Sequence[Happening]:
        now = self.clock()
        since = now - self.ttl
        told = [_from_note(note, None) for note in bans if note.last_at > since]
        for session in sessions:
            end = _end(session) if session.end_reason or session.expires_at <= now else None
            if end is None or end.at > since:
                last = end.at if end else now  # another clock may have dated events later
                told += [replace(each, at=min(each.at, last)) for each in _life(session)]
                told.append(end or _refreshed(session))
        if not told:
            raise NotFound
        return sorted(filter(lambda each: each.count, told), key=_place, reverse=True)


def _place(each: Happening) -> tuple[datetime, int, str]:
    return each.at, EVENTS.index(each.event), each.kind


def _life(session: SessionRecord) -> Iterator[Happening]:
    yield Happening("opened", session.created_at, session)
    yield from (_from_note(note, session) for note in session.notes)
    if session.end_reason == EndReason.REFRESH_REUSED:
        yield Happening("refresh_reused", session.expires_at, session, session.end_cause)


def _from_note(note: Note, session: SessionRecord | None) -> Happening:
    return Happening(note.event, note.last_at, session, note.kind, note.count, note.first_at)


def _refreshed(session: SessionRecord) -> Happening:
    return Happening("refreshed", session.last_used_at, session, count=session.refreshes)


def _end(session: SessionRecord) -> Happening:
    reason = EndReason(session.end_reason or EndReason.EXPIRED)
    kind, by, ended_by = session.end_cause, _AUTHORS.get(reason), ""
    if reason is EndReason.EXPIRED:
        kind = "absolute" if session.expires_at >= session.absolute_expires_at else "idle"
    elif reason is EndReason.REVOKED and kind:
        kind, ended_by = "", kind
        by = "this_device" if ended_by == session.id else "other_device"
    at = session.expires_at
    return Happening("ended", at, session, kind, reason=reason, by=by, ended_by=ended_by)
