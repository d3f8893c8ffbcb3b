"""What happens to sessions: each command one script, and what its reply means."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from app.errors import StoreUnavailable
from app.sessions.models import Ending, Session
from app.sessions.ports import (
    Active,
    Banned,
    Ended,
    Opened,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)
from app.sessions.tokens import locator_of
from app.stores.redis import scripts
from app.stores.redis.codec import flat_of, instant, row_of, session_of
from app.stores.redis.engine import RedisEngine
from app.stores.redis.keys import (
    answer_key,
    ban_key,
    index_key,
    session_key,
    session_prefix,
)

TOMBSTONE_TTL = timedelta(days=7)
_NO_GENERATION = -1


async def add(engine: RedisEngine, session: Session, limits: SessionLimits) -> Opened | Banned:
    """Keep a new session, unless its user is banned. Done again, it answers as the first time."""
    now = session.created_at
    life = session.absolute_expires_at - now + TOMBSTONE_TTL
    reply = await engine.run(
        scripts.OPEN,
        [session_key(session.id), index_key(session.subject), ban_key(session.subject)],
        now,
        session_prefix(locator_of(session.subject)),
        limits.max_per_user,
        int(limits.one_per_device_type),
        int(life.total_seconds()),
        *flat_of(session),
        attempt=session.id,
        confirm=True,
    )
    if reply[0] == b"banned":
        return Banned(instant(reply[1]) if reply[1] else None)
    return Opened(_texts(reply[1]))


async def find(engine: RedisEngine, session_id: str, now: datetime) -> Active | Ended | Unknown:
    """The session as it is now."""
    return await see(engine, session_id, _NO_GENERATION, now)


async def see(
    engine: RedisEngine, session_id: str, generation: int, now: datetime
) -> Active | Ended | Unknown:
    """Look up for a bearer; note the first use of the current generation."""
    reply = await engine.run(scripts.SEE, [session_key(session_id)], now, generation)
    if reply[0] == b"active":
        return Active(session_of(row_of(reply[1])))
    return _over(reply)


async def rotate(
    engine: RedisEngine, rotation: Rotation
) -> Rotated | Replayed | Reused | Ended | Unknown:
    """Compare generations: rotate, replay, or end the session for a spent token."""
    reply = await engine.run(
        scripts.ROTATE,
        [session_key(rotation.session_id)],
        rotation.now,
        rotation.presented,
        rotation.binding_kid,
        int(rotation.idle_ttl.total_seconds()),
        int(rotation.recovery_window.total_seconds()),
        confirm=True,
    )
    match reply:
        case [b"rotated" | b"healed" as outcome, flat]:
            return Rotated(session_of(row_of(flat)), healed=outcome == b"healed")
        case [b"replayed", flat]:
            return Replayed(session_of(row_of(flat)))
        case [b"reused", kind]:
            return Reused(kind.decode())
        case [b"unsure"]:
            raise StoreUnavailable
        case _:
            return _over(reply)


async def living_of(engine: RedisEngine, subject: str, now: datetime) -> Sequence[Session]:
    """The user's living sessions, oldest first."""
    reply = await engine.run(scripts.LIST, [index_key(subject)], now, _prefix(subject))
    return [session_of(row_of(flat)) for flat in reply]


async def end(
    engine: RedisEngine, session_id: str, subject: str, reason: Ending, now: datetime
) -> Ended | Unknown:
    """End one session of this user; of another user's it says nothing."""
    keys = [session_key(session_id)]
    reply = await engine.run(scripts.END, keys, now, subject, reason, confirm=True)
    if reply[0] == b"just_ended":
        return Ended(reason, just_now=True)
    return _over(reply)


async def end_all(
    engine: RedisEngine, subject: str, reason: Ending, now: datetime, *, keep: str | None
) -> Sequence[str]:
    """End all living sessions of this user but one."""
    arguments = (_prefix(subject), reason, keep or "")
    return _texts(
        await engine.run(scripts.END_ALL, [index_key(subject)], now, *arguments, confirm=True)
    )


async def erase(engine: RedisEngine, subject: str, now: datetime) -> Sequence[str]:
    """End the user's sessions, and take the user out of these and of older tombstones."""
    attempt = secrets.token_urlsafe(12)
    keys = [index_key(subject), ban_key(subject), answer_key(subject, attempt)]
    words = _prefix(subject)
    return _texts(await engine.run(scripts.ERASE, keys, now, words, attempt=attempt, confirm=True))


def _prefix(subject: str) -> str:
    return session_prefix(locator_of(subject))


def _texts(words: Sequence[bytes]) -> Sequence[str]:
    return [word.decode() for word in words]


def _over(reply: Sequence[Any]) -> Ended | Unknown:
    if reply[0] == b"unknown":
        return Unknown()
    _, reason, replaced_by = reply
    return Ended(Ending(reason.decode()), replaced_by.decode() or None)
