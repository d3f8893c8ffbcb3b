"""The shared store: tickets, sessions and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be separated. Nothing is purged:
every key has a time to live.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from app.errors import StoreUnavailable
from app.events import Events
from app.sessions.ports import TOMBSTONE_TTL, Stores
from app.store_url import RedisUrl
from app.stores.redis.codec import LIMIT_PREFIX
from app.stores.redis.connections import Connections, open_connections
from app.stores.redis.engine import TIMEOUT, RedisEngine
from app.stores.redis.logins import RedisBans, RedisTickets
from app.stores.redis.maintenance import RedisMaintenance
from app.stores.redis.scripts import SCRIPTS
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
    # Rate limits do without the engine, so a slow count holds up no other command.
    async with open_connections(url) as connections, open_connections(url) as counting:
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
            partial(_count, counting),
        )


async def _count(connections: Connections, name: str, amount: int, seconds: int) -> float | None:
    key = LIMIT_PREFIX + name
    (wait,) = await connections.run(SCRIPTS["limit"], 1, key, amount, 1000 * seconds)
    return None if wait is None else wait / 1000
