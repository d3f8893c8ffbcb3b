"""What has happened to a user's sessions, for people who must explain it.

The stores keep records. Here they become events, and each end gets an author.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from app.errors import NotFound
from app.sessions.models import EndReason, Note, NoteEvent, Records, SessionRecord
from app.sessions.ports import Clock, HistoryStore

HistoryEvent: TypeAlias = Literal["opened", "refreshed", "refresh_reused", "ended"] | NoteEvent
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
_ORDER: Sequence[HistoryEvent] = (
    *("ban_lifted", "opened", "login_replayed", "session_bound", "refreshed", "rolled_forward"),
    *("refresh_replayed", "proof_refused", "refresh_reused", "ended", "banned"),
)
"""Within one second, as they follow each other."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event, or the last of `count` equal ones.

    `session` is None for bans. `kind` is the kind of reuse, the fault of a proof, the limit of an
    expiry (`idle`, `absolute`), or the limit that a login exceeded. `ended_by` is the session that
    asked for the end.
    """

    event: HistoryEvent
    at: datetime
    session: SessionRecord | None = None
    first_at: datetime | None = None
    count: int = 1
    kind: str = ""
    reason: EndReason | None = None
    by: Author | None = None
    ended_by: str | None = None


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
        return self._told(await self.store.of_user(subject))

    async def of_session(self, session_id: str) -> Sequence[Happening]:
        """Return what happened to one session, newest first, or raise as `of_user`."""
        return self._told(await self.store.of_session(session_id))

    def _told(self, records: Records) -> Sequence[Happening]:
        now = self.clock()
        kept = [_from_note(note) for note in records.bans if note.last_at > now - self.ttl]
        for session in records.sessions:
            end = _end(session, now)
            if end is None or end.at > now - self.ttl:
                kept += [*_life(session), end or _refreshed(session)]
        told = [each for each in kept if each.count]
        if not told:
            raise NotFound
        return sorted(told, key=_place, reverse=True)


def _place(each: Happening) -> tuple[datetime, int, str, str]:
    session_id = each.session.id if each.session else ""
    return each.at, _ORDER.index(each.event), session_id, each.kind


def _life(session: SessionRecord) -> Iterator[Happening]:
    yield Happening("opened", session.created_at, session)
    yield from (_from_note(note, session) for note in session.notes)
    if session.end_reason is EndReason.REFRESH_REUSED:
        kind = session.end_cause or ""
        yield Happening("refresh_reused", session.expires_at, session, kind=kind)


def _from_note(note: Note, session: SessionRecord | None = None) -> Happening:
    return Happening(
        note.event, note.last_at, session, note.first_at, count=note.count, kind=note.kind
    )


def _refreshed(session: SessionRecord) -> Happening:
    return Happening("refreshed", session.last_used_at, session, count=session.refreshes)


def _end(session: SessionRecord, now: datetime) -> Happening | None:
    """The end of the session; None if it is active."""
    reason, at = session.end_reason, session.expires_at
    if reason is None and at > now:
        return None
    kind, by, ended_by = "", _AUTHORS.get(reason or EndReason.EXPIRED), None
    match reason:
        case None | EndReason.EXPIRED:
            reason = EndReason.EXPIRED
            kind = "absolute" if at >= session.absolute_expires_at else "idle"
        case EndReason.REPLACED | EndReason.REFRESH_REUSED:
            kind = session.end_cause or ""
        case EndReason.REVOKED if session.end_cause is not None:
            ended_by = session.end_cause
            by = "this_device" if ended_by == session.id else "other_device"
    return Happening("ended", at, session, kind=kind, reason=reason, by=by, ended_by=ended_by)
