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
from app.sessions.models import epoch, instant
from app.sessions.ports import TOMBSTONE_TTL
from app.stores.redis.codec import Argument, decode_ids
from app.stores.redis.connections import LOST, Command, Connections
from app.stores.redis.scripts import SCRIPTS

T = TypeVar("T")
NO_TIME = instant(0)
"""For scripts that do not read the time of the command."""

MAX_CONCURRENT = 16
"""Maximum concurrent commands. Further callers queue, within their time-out."""
TIMEOUT = 1.0
"""Seconds for one command, the queue and a second run included."""
_FAIL_FAST_FOR = 0.5
"""After a time-out without any reply, fail commands immediately for the next 0.5 s."""
_FAILURES = (*LOST, exceptions.RedisError, OSError, TimeoutError)
_TIMER_ERROR = 0.1
"""Seconds by which a time-out may come early: uvloop's timers do."""
_WAIT = ("WAIT", 1, 100)
"""Wait for one replica, for at most 100 ms."""
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
        name: str,
        keys: Sequence[str],
        now: datetime,
        *arguments: Argument,
        confirm: bool = False,
    ) -> Any:
        """Run the script of this name, once in effect, and return its reply.

        StoreUnavailable means that it is not known to have run. With `confirm` the command waits
        until one replica has the write. A time-out of that wait is recorded and is not an error.
        """
        command_id = secrets.token_urlsafe(12)

        async def run(*, again: bool, deadline: float) -> Any:
            times = f"{epoch(now)} {self._server_clock.window(deadline)} {self._history_ttl}"
            args = (len(keys), *keys, command_id, int(again), times, *arguments)
            questions = self._replicas.questions() if confirm else ()
            reply, *answers = await self._connections.run(SCRIPTS[name], *args, then=questions)
            if confirm and not self._replicas.confirmed(answers):
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
        (reply,) = await self._bounded(lambda **_: self._connections.send(command))
        return reply

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
                try:
                    reply = await run(again=False, deadline=deadline)
                except LOST:
                    reply = await run(again=True, deadline=deadline)
        except _FAILURES as error:
            silence = time.monotonic() - max(started, self._last_reply_at)
            if silence >= self._timeout - _TIMER_ERROR:
                self._fail_fast_until = time.monotonic() + _FAIL_FAST_FOR
            self._events.record("store_failed", kind=_kind(error))
            raise StoreUnavailable from error
        self._last_reply_at = time.monotonic()
        # At most half of the time: a command that did not queue is always sent.
        self._last_reply_took = min(self._last_reply_at - sent, self._timeout / 2)
        return reply


class RedisPort:
    """What the ports over one Redis or Valkey have in common."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine

    async def _end_in_chunks(
        self, script: str, keys: Sequence[str], now: datetime, *arguments: Argument
    ) -> Sequence[str]:
        """Run a script that ends sessions until none is left; return the ids that ended."""
        ids: list[str] = []
        more = 1
        while more:
            reply = await self._engine.eval_script(script, keys, now, *arguments, confirm=True)
            more, *ended = reply
            ids += decode_ids(ended)
        return ids


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
    asked every few seconds, together with a write.
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

    def confirmed(self, answers: Sequence[Any]) -> bool:
        """Whether a replica has the write, by the answers: an int to WAIT, any other to INFO."""
        reached = 0
        for answer in answers:
            if isinstance(answer, int):
                reached = answer
            else:
                self.learn(parse_info(answer))
        return not self._count or reached > 0


def parse_info(reply: object) -> Mapping[str, str]:
    """Parse the reply to INFO as far as it goes."""
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value for name, colon, value in lines if colon}


class ServerClock:
    """The server's clock, by which a script refuses a command that arrives late.

    A command that was given up may still reach the server, from a buffer on the way. By then its
    caller has been answered, and others have acted. So each command carries the times between which
    it may run, in the one clock that all instances share. The last of these times comes before the
    caller is answered. A command that fails before its time-out may still run until then: that is
    sooner than the `Retry-After` of the 503.

    The clock is estimated from the replies. It is late by the time that the quickest reply was on
    its way. A stale command shows that a clock has jumped: then the estimate starts anew.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    def learn(self, server_now: int, *, anew: bool = False) -> None:
        """Note the time of the server (epoch milliseconds) in a reply that has just come."""
        offset = server_now - 1000 * time.monotonic()
        self._offset = offset if anew or self._offset is None else max(self._offset, offset)

    def window(self, deadline: float) -> str:
        """The present and the last time of the server (epoch milliseconds) for a command sent now.

        `deadline` is on `time.monotonic()`. Before the first reply no time fits, so that the server
        refuses the command and tells its time. TimeoutError if the deadline is too near.
        """
        now, last = time.monotonic(), deadline - _TIMER_ERROR
        if now >= last:
            raise TimeoutError
        if self._offset is None:
            return "0 0"
        return f"{1000 * now + self._offset:.0f} {1000 * last + self._offset:.0f}"
