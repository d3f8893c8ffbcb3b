"""A Redis store whose keys expire by the tests' clock instead of the server's.

The times to live that scripts give to keys are noted in the time of the command, and `purge`
deletes what the server would have deleted by then. So the contract covers them, to the second.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from app.sessions.models import Ban, End, Session
from app.sessions.ports import Rotation, Stores, TicketLease
from tests.stores.factories import stores_over
from tests.stores.redis.opening import PATIENCE, opened
from tests.support.valkey.process import Monitor
from tests.support.valkey.servers import SentinelTrio, Server

_COUNTED = ("{tg}:session:", "{tg}:ticket:", "{tg}:ban:", "{tg}:look:")


class ExpiryClock:
    """When each key of a server expires, by the clock of the commands."""

    def __init__(self, server: Server, monitor: Monitor) -> None:
        self._server = server
        self._monitor = monitor
        self._deadlines: dict[str, datetime] = {}
        self._now = datetime.min.replace(tzinfo=UTC)

    def turn(self, now: datetime) -> None:
        """Set the time of the commands that follow."""
        if now != self._now:
            self._note()
            self._now = now

    def expire(self, now: datetime) -> int:
        """Delete what has expired; return how many rows the other stores would count."""
        self._note()
        due = [key for key, deadline in self._deadlines.items() if deadline <= now]
        gone = [key for key in due if self._server.cli("DEL", key)]
        for key in due:
            del self._deadlines[key]
        return sum(key.startswith(_COUNTED) for key in gone)

    def _note(self) -> None:
        for name, *words in self._monitor.commands():
            match name, words:
                case "EXPIRE", [key, seconds]:
                    self._deadlines[key] = self._now + timedelta(seconds=int(seconds))
                case "SET", [key, _, "EX", seconds]:
                    self._deadlines[key] = self._now + timedelta(seconds=int(seconds))
                case "SET", [key, _, "NX", "EX", seconds]:
                    self._deadlines.setdefault(key, self._now + timedelta(seconds=int(seconds)))
                case "DEL", [key]:
                    self._deadlines.pop(key, None)


def _time_of(argument: object) -> datetime | None:
    match argument:
        case datetime():
            return argument
        case TicketLease(now=now) | Rotation(now=now) | End(now=now):
            return now
        case Session(created_at=now) | Ban(created_at=now):
            return now
    return None


@asynccontextmanager
async def timed_redis_store(servers: Server | SentinelTrio) -> AsyncIterator[Stores]:
    """The store on these servers."""
    master = servers.master if isinstance(servers, SentinelTrio) else servers
    with Monitor(master) as monitor:
        clock = ExpiryClock(master, monitor)
        async with opened(servers.url, command_timeout=PATIENCE) as stores:

            async def call(port: str, command: str, *args: Any, **more: Any) -> Any:
                times = list(filter(None, map(_time_of, args)))
                if times:
                    clock.turn(times[-1])  # a session's, not that of its lease
                outcome = await getattr(getattr(stores, port), command)(*args, **more)
                if command == "purge":
                    assert outcome == 0, "keys expire by themselves"
                    return clock.expire(*times)
                return outcome

            yield stores_over(call)
