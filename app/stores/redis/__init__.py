"""The shared store: tickets, sessions and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be separated. Nothing is purged:
every key has a time to live.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from app.errors import StoreUnavailable
from app.events import Events
from app.sessions.ports import TOMBSTONE_TTL, Stores
from app.store_url import RedisUrl
from app.stores.redis import scripts
from app.stores.redis.codec import LIMIT_PREFIX
from app.stores.redis.connections import open_connections
from app.stores.redis.engine import TIMEOUT, RedisEngine
from app.stores.redis.logins import RedisBans, RedisTickets
from app.stores.redis.maintenance import RedisMaintenance
from app.stores.redis.sessions import RedisHistory, RedisSessions


@asynccontextmanager
async def open_redis_store(
    url: RedisUrl,
    events: Events,
    command_timeout: float = TIMEOUT,
    feed_ttl: timedelta = TOMBSTONE_TTL,
    history_ttl: timedelta = TOMBSTONE_TTL,
) -> AsyncIterator[Stores]:
    """Open the store at this address; close it at the end. `command_timeout` in seconds.

    The service starts even when the server cannot be reached: it is not ready until the server
    can be, and the server is checked then. StartupError if that or the CA file is unfit.
    """
    async with open_connections(url) as connections:
        engine = RedisEngine(connections, events, command_timeout, history_ttl)
        maintenance = RedisMaintenance(engine, events, feed_ttl)
        with suppress(StoreUnavailable):
            await maintenance.check_server()
        yield Stores(
            RedisTickets(engine),
            RedisSessions(engine),
            RedisBans(engine),
            RedisHistory(engine),
            maintenance,
        )


@asynccontextmanager
async def open_redis_counts(
    url: RedisUrl,
) -> AsyncIterator[Callable[[str, int, int], Awaitable[float | None]]]:
    """Open the counts of rate limits, on connections of their own; close them at the end.

    The value counts one request of a name, of which `amount` are possible in `seconds`. It returns
    None, or the seconds until one more is possible and counts nothing.
    """
    async with open_connections(url) as connections:

        async def count(name: str, amount: int, seconds: int) -> float | None:
            key = LIMIT_PREFIX + name
            (wait,) = await connections.run(scripts.LIMIT, 1, key, amount, 1000 * seconds)
            return None if wait is None else wait / 1000

        yield count
