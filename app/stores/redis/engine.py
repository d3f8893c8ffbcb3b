"""One Redis or Valkey, alone or behind Sentinel: scripts that run once, in bounded time.

The client library never repeats a command by itself here. When a reply is lost, the script may
or may not have run. So the engine runs it a second time under the same command id, and the script
replies as its first run did. The engine knows nothing of sessions.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from redis import exceptions

from app.errors import StoreUnavailable
from app.events import Events
from app.sessions.models import epoch
from app.sessions.ports import TOMBSTONE_TTL
from app.stores.redis.codec import Argument
from app.stores.redis.connections import LOST, Command, Connections
from app.stores.redis.scripts import Script
from app.stores.redis.server_clock import TIMER_ERROR, ServerClock

T = TypeVar("T")

MAX_CONCURRENT = 16
"""Maximum concurrent commands. Further callers queue, within their time-out."""
TIMEOUT = 1.0
"""Seconds for one command, the queue and a second run included."""
_FAIL_FAST_FOR = 0.5
"""After a time-out without any reply, fail commands immediately for the next 0.5 s."""
_FAILURES = (*LOST, exceptions.RedisError, OSError, TimeoutError)
_WAIT = ("WAIT", 1, 100)
"""One replica, within so many milliseconds."""
_INFO = ("INFO", "replication")
_INFO_EVERY = 5.0


class RedisEngine:
    """Runs each script and plain command within `timeout` seconds, or raises StoreUnavailable."""

    def __init__(
        self,
        connections: Connections,
        events: Events,
        timeout: float = TIMEOUT,
        history_ttl: timedelta = TOMBSTONE_TTL,
    ) -> None:
        self._connections = connections
        self._events = events
        self._timeout = timeout
        self._history_ttl = int(history_ttl.total_seconds())
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._last_reply_at = float("-inf")
        self._last_reply_took = 0.0
        self._fail_fast_until = float("-inf")
        self._replicas = Replicas()
        self._server_clock = ServerClock()

    async def eval_script(
        self,
        script: Script,
        keys: Sequence[str],
        now: datetime,
        *arguments: Argument,
        command_id: str = "",
        confirm: bool = False,
    ) -> Any:
        """Run the script, once in effect, and return its reply.

        StoreUnavailable means that it is not known to have run. `command_id` is random unless
        given. With `confirm` the command waits until one replica has the write. A time-out of that
        wait is recorded and is not an error.
        """
        name = command_id or secrets.token_urlsafe(12)

        async def run(*, again: bool, deadline: float) -> Any:
            times = f"{epoch(now)} {self._server_clock.window(deadline)} {self._history_ttl}"
            args = (len(keys), *keys, name, int(again), times, *arguments)
            questions = self._replicas.questions() if confirm else ()
            reply, *answers = await self._connections.run(script, *args, then=questions)
            if questions and not self._replicas.confirmed(
                dict(zip(questions, answers, strict=True))
            ):
                self._events.record("write_unconfirmed")
            server_now, verdict, *result = reply
            stale = verdict == b"stale"  # the first command, or a clock has jumped
            self._server_clock.learn(server_now, anew=stale)
            if stale:
                return await run(again=again, deadline=deadline)
            return result[0] if result else None

        return await self._bounded(run)

    async def execute(self, *command: Argument) -> Any:
        """Run one plain command that may safely run twice."""

        async def run(**_: object) -> Any:
            (reply,) = await self._connections.send(command)
            return reply

        return await self._bounded(run)

    async def describe(self) -> Mapping[str, str]:
        """Return what the master reports about itself (INFO); nothing if it refuses to."""

        async def ask(**_: object) -> Mapping[str, str]:
            try:
                info = parse_info(*await self._connections.send(("INFO",)))
            except exceptions.ResponseError:
                info = {}
            self._replicas.learn(info)
            return info

        return await self._bounded(ask)

    async def _bounded(self, run: Callable[..., Awaitable[T]]) -> T:
        started = time.monotonic()
        deadline = started + self._timeout
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                sent = time.monotonic()
                # A command that cannot have its reply in time is not sent.
                if sent < self._fail_fast_until or deadline - sent < self._last_reply_took:
                    raise StoreUnavailable
                reply = await self._run_twice_if_lost(run, deadline)
        except _FAILURES as error:
            silence = time.monotonic() - max(started, self._last_reply_at)
            if silence >= self._timeout - TIMER_ERROR:
                self._fail_fast_until = time.monotonic() + _FAIL_FAST_FOR
            self._events.record("store_failed", kind=_kind(error))
            raise StoreUnavailable from error
        self._last_reply_at = time.monotonic()
        # At most half of the time: a command that did not queue is always sent.
        self._last_reply_took = min(self._last_reply_at - sent, self._timeout / 2)
        return reply

    async def _run_twice_if_lost(self, run: Callable[..., Awaitable[T]], deadline: float) -> T:
        try:
            return await run(again=False, deadline=deadline)
        except LOST:
            return await run(again=True, deadline=deadline)


class RedisPort:
    """What the ports over one Redis or Valkey have in common."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine


def _kind(error: Exception) -> str:
    # The type only, because the text may quote the command. The library turns an error of TLS into
    # a text in one of its own errors.
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "SSLCertVerificationError"
    return "SSLError" if "[SSL" in str(error) else type(error).__name__


class Replicas:
    """Whether a write has reached a replica before it is acknowledged (WAIT).

    Redis replicates after it has replied, so a master that dies takes its last writes along. A
    write that must not be lost waits for one replica, if there are any. Whether there are any is
    asked every few seconds, in the same pipeline as a write.
    """

    def __init__(self) -> None:
        self._count: int | None = None
        self._asked_at = float("-inf")

    def learn(self, info: Mapping[str, str]) -> None:
        """Read the number of replicas from what the master reports (INFO); 0 if it does not."""
        count = info.get("connected_slaves", "")
        self._count, self._asked_at = int(count) if count.isdecimal() else 0, time.monotonic()

    def questions(self) -> Sequence[Command]:
        """The commands to send directly after a write, on the same connection."""
        due = time.monotonic() - self._asked_at > _INFO_EVERY
        return ([_WAIT] if self._count != 0 else []) + ([_INFO] if due else [])

    def confirmed(self, replies: Mapping[Command, Any]) -> bool:
        """Whether a replica has the write, by the replies to the questions."""
        match replies.get(_INFO):
            case bytes() as info:
                self.learn(parse_info(info))
            case exceptions.ResponseError():  # it refuses to say
                self.learn({})
        return not self._count or replies.get(_WAIT, 1) == 1


def parse_info(reply: object) -> Mapping[str, str]:
    """Parse the reply to INFO as far as it goes."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon}
