"""What has happened to sessions: the history for people, and the feed of ended sessions.

The stores keep records and notes. Here they become events, and each end gets an author.

The feed is for services that verify access tokens offline. Such a service knows only the JWKS, and
accepts the access tokens of an ended session until they expire. The feed names those sessions. The
store writes each event in the same step as the end, so none is missed, and a cursor is good on
every instance.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal, NotRequired, TypeAlias, cast

from typing_extensions import TypedDict

from app.errors import NotFound, RateLimited, StoreUnavailable
from app.sessions.models import (
    Device,
    EndReason,
    Note,
    Revocation,
    RevocationPage,
    SessionRecord,
    epoch,
)
from app.sessions.ports import Clock, HistoryStore, SessionStore

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


class HistoryEvent(TypedDict):
    """One event, or `count` equal ones from `first_at` to `at`.

    A ban has no `session_id`. `kind` is the kind of reuse, the fault of a proof, or the limit that
    ended the session. `ended_by` is the session that asked for the end. `replaced_by` is a type of
    device. `refreshes` counts all that the session had. An end has an `explanation` in the language
    of the reader.
    """

    event: str
    at: int
    session_id: NotRequired[str]
    device: NotRequired[Device]
    kind: NotRequired[str]
    count: NotRequired[int]
    first_at: NotRequired[int]
    reason: NotRequired[EndReason]
    by: NotRequired[Author]
    ended_by: NotRequired[str]
    replaced_by: NotRequired[str]
    refreshes: NotRequired[int]
    explanation: NotRequired[str]


@dataclass(frozen=True, slots=True)
class HistoryService:
    """Tells the history of active sessions, and of those that ended less than `ttl` ago."""

    store: HistoryStore
    clock: Clock
    ttl: timedelta

    async def of_user(self, subject: str) -> Sequence[HistoryEvent]:
        """Return what happened to the user's sessions, newest first; NotFound if nothing did."""
        return self._events(*await self.store.find(subject=subject))

    async def of_session(self, session_id: str) -> Sequence[HistoryEvent]:
        """Return what happened to one session, newest first; NotFound if it is not known."""
        return self._events(*await self.store.find(session_id=session_id))

    def _events(
        self, sessions: Sequence[SessionRecord], bans: Sequence[Note]
    ) -> Sequence[HistoryEvent]:
        now = epoch(self.clock())
        since = now - self.ttl.total_seconds()
        told = [_from_note(note, None) for note in bans if note.last_at > since]
        for session in sessions:
            end = _end(session) if session.end_reason or session.expires_at <= now else None
            if end is None or end["at"] > since:
                last = end["at"] if end else now  # another clock may have dated events later
                told += [{**each, "at": min(each["at"], last)} for each in _events_of(session)]
                told += [end] if end else _refreshed(session)
        if not told:
            raise NotFound
        return sorted(told, key=_sort_key, reverse=True)


def _sort_key(each: HistoryEvent) -> tuple[int, int, str]:
    return each["at"], EVENTS.index(each["event"]), each.get("kind", "")


def _events_of(session: SessionRecord) -> Iterator[HistoryEvent]:
    yield _event("opened", session.created_at, session)
    yield from (_from_note(note, session) for note in session.notes)
    if session.end_reason == EndReason.REFRESH_REUSED:
        yield _event("refresh_reused", session.expires_at, session, kind=session.end_cause)


def _refreshed(session: SessionRecord) -> Iterator[HistoryEvent]:
    if session.refreshes:
        yield _event("refreshed", session.last_used_at, session, count=session.refreshes)


def _end(session: SessionRecord) -> HistoryEvent:
    reason = EndReason(session.end_reason or EndReason.EXPIRED)
    cause = {"by": _AUTHORS.get(reason), "kind": session.end_cause}
    if reason is EndReason.EXPIRED:
        is_absolute = session.expires_at >= session.absolute_expires_at
        cause["kind"] = "absolute" if is_absolute else "idle"
    elif reason is EndReason.REVOKED and session.end_cause:
        author = "this_device" if session.end_cause == session.id else "other_device"
        cause = {"by": author, "ended_by": session.end_cause}
    more = {"replaced_by": session.replaced_by, "refreshes": session.refreshes}
    return _event("ended", session.expires_at, session, reason=reason, **cause, **more)


def _from_note(note: Note, session: SessionRecord | None) -> HistoryEvent:
    more = {"count": note.count, "first_at": note.first_at} if note.count > 1 else {}
    return _event(note.event, note.last_at, session, kind=note.kind, **more)


def _event(event: str, at: int, session: SessionRecord | None, **members: object) -> HistoryEvent:
    if session is not None:
        device = {"type": session.device_type, "app_version": session.app_version}
        members["session_id"] = session.id
        members["device"] = {name: text for name, text in device.items() if text}
    known = {name: value for name, value in members.items() if value not in (None, "", {})}
    return cast("HistoryEvent", {"event": event, "at": at, **known})


# --- the feed of ended sessions ---

POLL_AFTER = 2
"""Seconds between two requests of a client that polls."""
MAX_FOLLOWERS = 64
"""Streams that one process keeps open."""
_MOST_REVOCATIONS = 10_000
"""About as many as one response has: 2 MB of JSON."""
_LOOK_EVERY = 0.03
"""Seconds between two looks at the store, while there are streams."""
_AFTER_A_FAILURE = 1.0
"""Seconds until the next look, if the store could not be asked."""


@dataclass(slots=True)
class RevocationFeed:
    """Reads and follows the feed. `stopping`: whether the process is about to stop.

    A follower gets something every `heartbeat` seconds, so that a dead connection is noticed.
    """

    store: SessionStore
    clock: Clock
    access_ttl: timedelta
    stopping: Callable[[], bool]
    heartbeat: float = 5.0
    _followers: int = field(default=0, init=False)
    _looking: asyncio.Task[None] | None = field(default=None, init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def read_page(self, after: str) -> RevocationPage:
        """Return sessions that ended after this cursor and whose access tokens may be valid."""
        await asyncio.sleep(0)  # between two pages, other requests have their turn
        return await self.store.revocations(after, self.clock(), self.access_ttl)

    async def read(self, after: str) -> RevocationPage:
        """Return the same sessions as one page of about 10,000 at most."""
        found: list[tuple[str, Revocation]] = []
        page = RevocationPage(found, after, more=True)
        while page.more and len(found) < _MOST_REVOCATIONS:
            page = await self.read_page(page.cursor)
            found += page.revocations
        return replace(page, revocations=found)

    @contextmanager
    def following(self) -> Iterator[None]:
        """Count one follower, or raise RateLimited. One task looks at the store for all."""
        if self._followers >= MAX_FOLLOWERS:
            raise RateLimited(POLL_AFTER)
        self._followers += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers:
                self._looking.cancel()
                self._looking = None

    async def follow(self, page: RevocationPage) -> AsyncIterator[Sequence[tuple[str, Revocation]]]:
        """Yield this page and then new ones, inside `following`; an empty one as a heartbeat.

        It ends when the process is about to stop, or when the store cannot be asked: a follower
        that hears nothing must not believe that nothing has ended.
        """
        yield page.revocations
        while not self.stopping():
            news = self._news
            try:
                page = await self.read_page(page.cursor)
            except StoreUnavailable:
                return
            if not page.revocations and not page.more:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), self.heartbeat)
            yield page.revocations

    async def _look(self) -> None:
        """Wake the followers at each change of the cursor, and when they should end."""
        cursor = ""
        while True:
            pause = _LOOK_EVERY
            try:
                newest = (await self.read_page(cursor)).cursor
            except StoreUnavailable:
                newest, pause = "", _AFTER_A_FAILURE
            if newest != cursor or self.stopping():
                self._news.set()
                self._news = asyncio.Event()
            cursor = newest
            await asyncio.sleep(pause)
