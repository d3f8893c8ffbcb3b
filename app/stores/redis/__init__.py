"""The shared store: tickets, sessions and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be separated. Nothing is purged:
every key has a time to live.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from typing_extensions import override

from app.errors import StartupError, StoreUnavailable
from app.events import Events
from app.sessions.ports import Maintenance, Stores
from app.store_url import RedisUrl
from app.stores.redis import server_checks
from app.stores.redis.bans import RedisBans
from app.stores.redis.client import open_client
from app.stores.redis.engine import RedisEngine
from app.stores.redis.keys import WRITABLE
from app.stores.redis.sessions import RedisSessions
from app.stores.redis.tickets import RedisTickets

_WRITABLE_SECONDS = 60


@asynccontextmanager
async def open_redis_store(
    url: RedisUrl, *, ca_file: Path | None, events: Events
) -> AsyncIterator[Stores]:
    """Open the store at this address; close it at the end.

    The service starts even when the server cannot be reached: it is not ready until the server
    can be, and the server is checked then.

    Raises:
        StartupError: one line that says what is wrong with the server or the CA file.
    """
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(open_client(url, ca_file))
        except OSError as error:
            raise StartupError(f"STORE_CA_FILE: {ca_file} is not a readable CA bundle") from error
        engine = RedisEngine(client, events)
        maintenance = RedisMaintenance(engine, events)
        with suppress(StoreUnavailable):
            await maintenance.check_server()
        yield Stores(RedisTickets(engine), RedisSessions(engine), RedisBans(engine), maintenance)


class RedisMaintenance(Maintenance):
    """Finds out whether the server can keep sessions, and whether it can be written now."""

    def __init__(self, engine: RedisEngine, events: Events) -> None:
        self._engine = engine
        self._events = events
        self._checked = False

    async def check_server(self) -> None:
        """Check once whether the server is fit to keep sessions.

        Raises:
            StartupError: it is not; one line that says what to change.
            StoreUnavailable: it cannot be asked.
        """
        server_checks.check(await self._engine.describe(), self._events)
        self._checked = True

    @override
    async def purge(self, now: datetime) -> int:
        return 0  # every key has a time to live

    @override
    async def check_writable(self) -> None:
        if not self._checked:  # it could not be reached at the start
            try:
                await self.check_server()
            except StartupError as error:
                raise StoreUnavailable from error
        await self._engine.execute("SET", WRITABLE, 1, "EX", _WRITABLE_SECONDS)
