"""A command that reaches the server after its caller was answered changes and judges nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.sessions.models import EndReason
from app.sessions.outcomes import Acquired, Active, Rotated
from app.sessions.ports import Stores
from app.stores.redis import scripts
from app.stores.redis.scripts import Script
from tests.stores.builders import (
    NOW,
    SUBJECT,
    UNLIMITED,
    ban_of,
    keep,
    lease_of,
    make_session,
    rotation_of,
)
from tests.stores.redis.opening import SESSION, engine_of, fails, fields_of, opened
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

Command = Callable[[Stores], Awaitable[Any]]


@pytest.fixture
def command_timeout() -> float:
    return 0.5


@dataclass(frozen=True)
class Late:
    """A late command, what another instance does meanwhile, and what it must find afterwards."""

    script: Script
    command: Command
    meanwhile: tuple[Command, ...]
    look: Command
    finds: Callable[[Any], bool]


LATE = [
    Late(
        scripts.ROTATE,
        lambda store: store.sessions.rotate(rotation_of(0, session_id=SESSION)),
        (
            lambda store: store.sessions.rotate(rotation_of(0, session_id=SESSION)),
            lambda store: store.sessions.touch(SESSION, 1, NOW),
        ),
        lambda store: store.sessions.rotate(rotation_of(1, session_id=SESSION)),
        lambda outcome: isinstance(outcome, Rotated),
    ),
    Late(
        scripts.END_ALL,
        lambda store: store.sessions.end_all(SUBJECT, EndReason.KICKED, NOW),
        (lambda store: keep(store, make_session("again")),),
        lambda store: store.sessions.touch("again", 0, NOW),
        lambda outcome: isinstance(outcome, Active),
    ),
    Late(
        scripts.LIFT,
        lambda store: store.bans.lift(SUBJECT),
        (lambda store: store.bans.put(ban_of()),),
        lambda store: store.bans.find(SUBJECT, NOW),
        lambda ban: ban == ban_of(),
    ),
    Late(
        scripts.BAN,
        lambda store: store.bans.put(ban_of()),
        (lambda store: store.bans.put(ban_of()), lambda store: store.bans.lift(SUBJECT)),
        lambda store: store.bans.find(SUBJECT, NOW),
        lambda ban: ban is None,
    ),
    Late(
        scripts.ACQUIRE,
        lambda store: store.tickets.acquire(lease_of()),
        (),
        lambda store: store.tickets.acquire(lease_of(holder="holder-b")),
        lambda outcome: outcome == Acquired(),
    ),
    Late(
        scripts.CREATE_SESSION,
        lambda store: store.tickets.create_session(lease_of(), make_session(), UNLIMITED),
        (),
        lambda store: store.sessions.active_sessions(SUBJECT, NOW),
        lambda active: [session.id for session in active] == [SESSION],
    ),
]


@pytest.mark.parametrize("late", LATE, ids=lambda late: late.script.name)
async def test_a_late_command_changes_nothing(
    valkey: Server, store: Stores, other: Stores, proxy: Proxy, late: Late
) -> None:
    await keep(other, make_session(SESSION))
    valkey.cli("SCRIPT", "LOAD", late.script.text)
    proxy.keep_back(late.script.digest.encode())
    assert await fails(late.command(store))
    for command in late.meanwhile:
        await command(other)
    await asyncio.to_thread(proxy.deliver)
    assert late.finds(await late.look(other))


@pytest.mark.parametrize("jump", [-10_000, 10_000])
async def test_a_jump_of_the_servers_clock_fails_no_command(
    valkey: Server, store: Stores, jump: int
) -> None:
    await keep(store, make_session(SESSION))
    seconds, _ = valkey.cli("TIME")
    engine_of(store)._server_clock.learn(1000 * int(seconds) - jump)
    assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


async def test_a_command_whose_time_is_over_is_not_sent(
    valkey: Server, events: RecordedEvents
) -> None:
    async with opened(valkey.url, events, command_timeout=0.05) as hasty:
        assert await fails(hasty.sessions.touch(SESSION, 0, NOW))
    assert fields_of(events, "store_failed") == ["TimeoutError"]
