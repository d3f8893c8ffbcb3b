"""RedisStore as the contract's tests need it, who know neither locators nor the server's clock.

Their ids are plain words, so each gets its user's locator in front on the way in and loses it on
the way out. And their time passes as they say: when a key is set to expire, that is noted in their
time, and `purge` takes out what the server would have taken out by then. So the lifetimes that the
store gives its keys are held against the contract too, to the second.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from math import ceil
from typing import Any, TypeVar, cast

import redis

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
    Rotated,
    Unknown,
)
from app.sessions.ports import Rotation, SessionLimits, Stores, TicketLease
from app.sessions.refresh_tokens import locator_of
from app.stores.factory import open_store
from tests.support.valkey.servers import Cluster, SentinelTrio, Server

T = TypeVar("T")
_TOLERANCE = 0.3
"""Seconds. Whole ones are exact as long as a lifetime is noted within one of being set."""
_COUNTED = (b":session:", b"tg:claim:", b":ban:")


class Lifetimes:
    """Tells which keys of one server have been given how long to live, since it was asked last."""

    def __init__(self, server: redis.Redis) -> None:
        self.server = server
        server.config_set("notify-keyspace-events", "Eg")
        self._mark = f"mark of {id(self)}"
        self._heard = server.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # the library's gap
        self._heard.subscribe("__keyevent@0__:expire", self._mark)

    def news(self) -> Iterator[tuple[bytes, timedelta]]:
        self.server.publish(self._mark, "")
        heard = iter(self._heard.listen())
        keys = [m["data"] for m in takewhile(lambda m: m["channel"] != self._mark.encode(), heard)]
        pipeline = self.server.pipeline(transaction=False)
        for key in keys:
            pipeline.pttl(key)
        for key, left in zip(keys, pipeline.execute(), strict=True):
            yield key, timedelta(seconds=ceil(left / 1000))

    def close(self) -> None:
        self._heard.close()
        self.server.close()


class SuiteStore:
    """`Stores`; what is not explained here is as there."""

    def __init__(self, store: Stores, servers: Sequence[Lifetimes]) -> None:
        self._store = store
        self._servers = servers
        self._users: dict[str, str] = {}
        self._deadlines: dict[tuple[Lifetimes, bytes], datetime] = {}
        self._now = datetime.min.replace(tzinfo=UTC)
        self._noted_at = time.monotonic()

    async def claim(self, claim: TicketLease) -> Acquired | Held | AlreadyUsed | KeyConflict:
        return await self._at(claim.now, self._store.tickets.acquire(claim))

    async def release(self, claim: TicketLease) -> None:
        await self._store.tickets.release(claim)

    async def open(
        self, claim: TicketLease, session: Session, limits: SessionLimits
    ) -> Opened | AlreadyUsed | Banned:
        self._users[session.id] = session.subject
        session = replace(session, id=self._in(session.id))
        return await self._at(
            session.created_at, self._store.tickets.create_session(claim, session, limits)
        )

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        return await self._at(
            now, self._store.sessions.touch(self._in(session_id), generation, now)
        )

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        rotation = replace(rotation, session_id=self._in(rotation.session_id))
        return await self._at(rotation.now, self._store.sessions.rotate(rotation))

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        return await self._at(now, self._store.sessions.active_sessions(subject, now))

    async def end(
        self, session_id: str, subject: str, reason: EndReason, now: datetime
    ) -> Ended | Unknown:
        return await self._at(
            now, self._store.sessions.end(self._in(session_id), subject, reason, now)
        )

    async def end_all(
        self, subject: str, reason: EndReason, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        keep = self._in(keep) if keep is not None else None
        return await self._at(now, self._store.sessions.end_all(subject, reason, now, keep=keep))

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        return await self._at(now, self._store.sessions.erase(subject, now))

    async def ban(self, ban: Ban) -> Sequence[str]:
        return await self._at(ban.created_at, self._store.bans.put(ban))

    async def lift_ban(self, subject: str) -> None:
        await self._store.bans.lift(subject)

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
        return await self._store.bans.find(subject, now)

    async def purge(self, now: datetime) -> int:
        assert await self._store.maintenance.purge(now) == 0, "the server forgets by itself"
        self._note_lifetimes()
        over = [place for place, deadline in self._deadlines.items() if deadline <= now]
        gone = [(on, key) for on, key in over if on.server.delete(key)]
        for place in over:
            del self._deadlines[place]
        return sum(any(kind in key for kind in _COUNTED) for _, key in gone)

    async def check_writable(self) -> None:
        await self._store.maintenance.check_writable()

    def _in(self, session_id: str) -> str:
        return locator_of(self._users.get(session_id, "")) + session_id

    async def _at(self, now: datetime, command: Awaitable[T]) -> T:
        if now != self._now:
            self._note_lifetimes()
            self._now = now
        outcome = await command
        if time.monotonic() - self._noted_at > _TOLERANCE:
            self._note_lifetimes()
        return cast("T", _renamed(outcome))

    def _note_lifetimes(self) -> None:
        for on in self._servers:
            for key, left in on.news():
                self._deadlines[on, key] = self._now + left
        self._noted_at = time.monotonic()


def _renamed(outcome: Any) -> Any:
    match outcome:
        case str():
            return outcome[2:]
        case Session():
            return replace(outcome, id=_renamed(outcome.id))
        case Active() | Rotated() | Replayed() | AlreadyUsed():
            return replace(outcome, session=_renamed(outcome.session))
        case Opened():
            return Opened(_renamed(outcome.replaced))
        case [*parts]:
            return [_renamed(part) for part in parts]
    return outcome


@asynccontextmanager
async def suite_store(servers: Server | Cluster | SentinelTrio) -> AsyncIterator[Stores]:
    """The store on these servers."""
    with ExitStack() as stack:
        clients = [redis.Redis(port=master.port, protocol=2) for master in _masters(servers)]
        lifetimes = [stack.enter_context(closing(Lifetimes(client))) for client in clients]
        async with open_store(servers.url, ca_file=None, record=lambda *_, **__: None) as store:
            yield SuiteStore(store, lifetimes)


def _masters(servers: Server | Cluster | SentinelTrio) -> Sequence[Server]:
    match servers:
        case Cluster(nodes=nodes):
            return nodes
        case SentinelTrio():
            return [servers.master]
        case _:
            return [servers]
