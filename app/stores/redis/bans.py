"""Users who may not have sessions."""

from collections.abc import Sequence
from datetime import datetime

from app.sessions.models import Ban
from app.sessions.tokens import locator_of
from app.stores.redis import scripts
from app.stores.redis.codec import ban_of, epoch
from app.stores.redis.engine import RedisEngine
from app.stores.redis.keys import ban_key, index_key, session_prefix


async def put(engine: RedisEngine, ban: Ban) -> Sequence[str]:
    """Ban the user, or change the ban, and end what sessions they have."""
    ended = await engine.run(
        scripts.BAN,
        [index_key(ban.subject), ban_key(ban.subject)],
        ban.created_at,
        session_prefix(locator_of(ban.subject)),
        ban.reason,
        epoch(ban.until) if ban.until else "",
        confirm=True,
    )
    return [session_id.decode() for session_id in ended]


async def lift(engine: RedisEngine, subject: str) -> None:
    """Forget the ban."""
    await engine.do("DEL", ban_key(subject))


async def find(engine: RedisEngine, subject: str, now: datetime) -> Ban | None:
    """The ban in force."""
    row = await engine.do("HGETALL", ban_key(subject))  # of plain commands the client makes dicts
    ban = ban_of(subject, {name.decode(): value for name, value in row.items()}) if row else None
    return ban if ban is not None and (ban.until is None or ban.until > now) else None
