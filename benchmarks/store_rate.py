"""How many logins and rotations a second one Valkey takes, and how much memory sessions need.

Processes with the store's own classes send commands to one server (append-only file, fsync every
second). No HTTP and no tokens are involved, so this is the limit of the store alone.
`python -m benchmarks.store_rate --help` lists the options.
"""

import argparse
import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import uvloop

from app.sessions.models import Session
from app.sessions.ports import Rotation, SessionLimits, Stores, TicketLease
from app.store_url import RedisUrl, parse_store_url
from app.stores.redis import open_redis_store
from tests.support.fakes import RecordedEvents
from tests.support.valkey.servers import Server, standalone

_CALLERS = 64
_ROTATIONS = 5
"""Rotations of each session."""
_LIMITS = SessionLimits(max_per_user=10, one_per_device_type=True)
_PROFILE = os.urandom(400)  # about the size of a real one, and as random


async def _log_in(stores: Stores, number: int) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ticket = hashlib.sha256(str(number).encode()).digest()
    lease = TicketLease(ticket, ticket, f"holder-{number}", now, now, now + timedelta(seconds=150))
    session = Session(
        id=f"session-{number:024}",
        subject=f"user-{number:019}",
        device_type="ios",
        generation=0,
        secret_kid="a" * 43,
        encrypted_profile=_PROFILE,
        authenticated_at=now,
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(days=14),
        absolute_expires_at=now + timedelta(days=90),
    )
    await stores.tickets.acquire(lease)
    await stores.tickets.create_session(lease, session, _LIMITS)


async def _rotate(stores: Stores, number: int, generation: int) -> None:
    now, day = datetime.now(UTC), timedelta(days=1)
    rotation = Rotation(f"session-{number:024}", generation, "a" * 43, None, now, 14 * day, day)
    await stores.sessions.rotate(rotation)


async def _together(url: str, run: Callable[[Stores, int], Awaitable[None]], own: range) -> None:
    numbers = iter(own)
    address = parse_store_url(url)
    assert isinstance(address, RedisUrl)
    async with open_redis_store(address, ca_file=None, events=RecordedEvents()) as stores:

        async def caller() -> None:
            for number in numbers:
                await run(stores, number)

        await asyncio.gather(*(caller() for _ in range(_CALLERS)))


def _logins(url: str, own: range) -> None:
    uvloop.run(_together(url, _log_in, own))


def _rotations(url: str, own: range) -> None:
    async def run(stores: Stores, number: int) -> None:
        for generation in range(_ROTATIONS):
            await _rotate(stores, number, generation)

    uvloop.run(_together(url, run, own))


def _info(server: Server, name: str) -> float:
    text: str = server.cli("INFO", "everything")
    return float(text.partition(f"\n{name}:")[2].split()[0])


class _Phase:
    """Prints the rate of commands, and the processor time that the server spent on each."""

    def __init__(self, server: Server, name: str, count: int) -> None:
        self._server, self._name, self._count = server, name, count

    def __enter__(self) -> None:
        self._begun, self._cpu = time.monotonic(), self._cpu_seconds()

    def __exit__(self, *_: object) -> None:
        rate = self._count / (time.monotonic() - self._begun)
        cost = (self._cpu_seconds() - self._cpu) / self._count * 1e6
        print(
            f"{self._name:10}{rate:8,.0f} a second, {cost:6.0f} µs of the server's processor each"
        )

    def _cpu_seconds(self) -> float:
        return _info(self._server, "used_cpu_user") + _info(self._server, "used_cpu_sys")


def _measure(server: Server, processes: int, sessions: int) -> None:
    parts = [range(first, sessions, processes) for first in range(processes)]
    urls = [server.url] * processes
    before = _info(server, "used_memory")
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        list(pool.map(time.sleep, [0.5] * processes))  # all have started
        with _Phase(server, "logins", sessions):
            list(pool.map(_logins, urls, parts))
        with _Phase(server, "rotations", _ROTATIONS * sessions):
            list(pool.map(_rotations, urls, parts))
    _print_memory(server, "10,000 sessions with tickets", before, sessions)
    for key in server.cli("KEYS", "{tg}:ticket:*") + server.cli("KEYS", "{tg}:idempotency-key:*"):
        server.cli("DEL", key)
    _print_memory(server, "10,000 sessions, tickets expired", before, sessions)


def _print_memory(server: Server, what: str, before: float, sessions: int) -> None:
    used = (_info(server, "used_memory") - before) / sessions * 10_000
    print(f"{what:34}{used / 2**20:5.1f} MiB")


def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store_rate", description=__doc__)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=10_000)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        standalone(Path(folder), appendonly=True) as server,
    ):
        _measure(server, given.processes, given.sessions)


if __name__ == "__main__":
    _main()
