"""The shared store: sessions, claims and bans in Redis or Valkey, for any number of instances.

Every command is one script, so a decision and its write cannot be parted. What belongs to one user
lies in one slot of a cluster; what a login must do over several is in `claims`. Nothing is purged
here: every key has a time to live.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from app.errors import StartupError, StoreUnavailable
from app.sessions.models import Ban, Ending, Session
from app.sessions.ports import (
    Active,
    Banned,
    Claim,
    Claimed,
    ClaimHeld,
    Ended,
    KeyTaken,
    Opened,
    Redeemed,
    Replayed,
    Reused,
    Rotated,
    Rotation,
    SessionLimits,
    Unknown,
)
from app.stores.redis import bans, claims, server_checks, sessions
from app.stores.redis.address import connected, parse
from app.stores.redis.engine import Client, RedisEngine
from app.stores.redis.keys import WRITABLE

_WRITABLE_SECONDS = 60


@asynccontextmanager
async def open_redis_store(
    url: str, *, ca_file: Path | None, record: Callable[..., None]
) -> AsyncIterator["RedisStore"]:
    """Open the store at this address; close it at the end.

    A server that cannot be reached is no reason not to start: the service is not ready until it
    can, and it is inspected then.

    Raises:
        StartupError: one line that says what is wrong with the address, or with the server.
    """
    try:
        address = parse(url)
    except ValueError as error:
        raise StartupError(f"STORE_URL: {error}") from error
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connected(address, ca_file))
        except OSError as error:
            raise StartupError(f"STORE_CA_FILE: {ca_file} is not a readable CA bundle") from error
        store = RedisStore(client, record)
        with suppress(StoreUnavailable):
            await store.start()
        yield store


class RedisStore:
    """`SessionStore` on Redis; what each command promises stands there."""

    def __init__(self, client: Client, record: Callable[..., None]) -> None:
        """Keep sessions there; `record` is told of failures and of what a server is not fit for."""
        self._engine = RedisEngine(client, record)
        self._record = record
        self._inspected = False

    async def start(self) -> None:
        """Look whether the servers are fit to keep sessions, if they can be reached.

        Raises:
            StartupError: they are not; one line that says what to change.
            StoreUnavailable: they cannot be asked.
        """
        server_checks.inspect(await self._engine.describe(), self._record)
        self._inspected = True

    async def claim(self, claim: Claim) -> Claimed | ClaimHeld | Redeemed | KeyTaken:
        """See SessionStore."""
        return await claims.take(self._engine, claim)

    async def release(self, claim: Claim) -> None:
        """See SessionStore."""
        await claims.release(self._engine, claim)

    async def open(
        self, claim: Claim, session: Session, limits: SessionLimits
    ) -> Opened | Redeemed | Banned:
        """See SessionStore."""
        return await claims.open_session(self._engine, claim, session, limits)

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        """See SessionStore."""
        return await sessions.see(self._engine, session_id, generation, now)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        """See SessionStore."""
        return await sessions.rotate(self._engine, rotation)

    async def sessions_of(self, subject: str, now: datetime) -> Sequence[Session]:
        """See SessionStore."""
        return await sessions.living_of(self._engine, subject, now)

    async def end(
        self, session_id: str, subject: str, reason: Ending, now: datetime
    ) -> Ended | Unknown:
        """See SessionStore."""
        return await sessions.end(self._engine, session_id, subject, reason, now)

    async def end_all(
        self, subject: str, reason: Ending, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        """See SessionStore."""
        return await sessions.end_all(self._engine, subject, reason, now, keep=keep)

    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        """See SessionStore."""
        return await sessions.erase(self._engine, subject, now)

    async def ban(self, ban: Ban) -> Sequence[str]:
        """See SessionStore."""
        return await bans.put(self._engine, ban)

    async def lift_ban(self, subject: str) -> None:
        """See SessionStore."""
        await bans.lift(self._engine, subject)

    async def find_ban(self, subject: str, now: datetime) -> Ban | None:
        """See SessionStore."""
        return await bans.find(self._engine, subject, now)

    async def purge(self, now: datetime) -> int:  # noqa: ARG002  # every key goes by itself
        """See SessionStore. Nothing is left to do."""
        return 0

    async def check_writable(self) -> None:
        """See SessionStore. What could not be inspected at the start is inspected first."""
        if not self._inspected:
            try:
                await self.start()
            except StartupError as error:
                raise StoreUnavailable from error
        await self._engine.do("SET", WRITABLE, 1, "EX", _WRITABLE_SECONDS)
