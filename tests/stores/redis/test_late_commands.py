"""A command that reaches the server after its caller was answered changes and judges nothing."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.sessions.models import End, EndReason
from app.sessions.outcomes import Acquired, Active, Replayed, Reused, Rotated, Unknown
from app.sessions.ports import Stores
from app.stores.redis import scripts
from app.stores.redis.codec import session_key
from app.stores.redis.engine import ServerClock
from app.stores.redis.scripts import Script
from tests.stores.builders import (
    HOUR,
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
        lambda store: store.sessions.end_all(SUBJECT, End(EndReason.KICKED, NOW)),
        (lambda store: keep(store, make_session("again")),),
        lambda store: store.sessions.touch("again", 0, NOW),
        lambda outcome: isinstance(outcome, Active),
    ),
    Late(
        scripts.LIFT,
        lambda store: store.bans.lift(SUBJECT, NOW),
        (lambda store: store.bans.put(ban_of()),),
        lambda store: store.bans.find(SUBJECT, NOW),
        lambda ban: ban == ban_of(),
    ),
    Late(
        scripts.BAN,
        lambda store: store.bans.put(ban_of()),
        (lambda store: store.bans.put(ban_of()), lambda store: store.bans.lift(SUBJECT, NOW)),
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
    await keep(store, make_session(SESSION))  # it knows the server's clock from here on
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
    engine_of(store)._server_clock.learn(1000 * int(seconds) - jump, anew=True)
    assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


def test_a_reply_that_was_long_on_its_way_does_not_shorten_the_life_of_commands() -> None:
    clock = ServerClock()
    clock.learn(10_000)
    clock.learn(9_600)
    issued, _ = clock.window(time.monotonic() + 1).split()
    assert int(issued) >= 10_000


async def test_a_used_token_is_judged_after_the_servers_clock_has_jumped_back(
    valkey: Server, store: Stores
) -> None:
    await keep(store, make_session(SESSION, generation=2))
    valkey.cli("HSET", session_key(SESSION), "rotated_at", 1000 * 2**40)
    assert await store.sessions.rotate(rotation_of(0, session_id=SESSION)) == Reused("stale")


async def test_a_command_whose_time_is_over_is_not_sent(
    valkey: Server, events: RecordedEvents
) -> None:
    async with opened(valkey.url, events, command_timeout=0.05) as hasty:
        assert await fails(hasty.sessions.touch(SESSION, 0, NOW))
    assert fields_of(events, "store_failed") == ["TimeoutError"]


async def with_a_kept_copy(proxy: Proxy, script: Script, command: Awaitable[Any]) -> Any:
    """Run the command, whose first copy the network keeps back; its second run replies."""
    proxy.keep_back(script.digest.encode())
    running = asyncio.ensure_future(command)
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.kept != b"")
    proxy.cut()
    return await running


FIRST_COPIES: list[tuple[Script, Callable[[Stores, str], Awaitable[Any]], str]] = [
    (scripts.LIFT, lambda store, who: store.bans.lift(who, NOW), "ban"),
    (scripts.BAN, lambda store, who: store.bans.put(ban_of(who, until=NOW + HOUR)), "ban"),
    (scripts.BAN, lambda store, who: store.bans.put(ban_of(who)), "login"),
    (
        scripts.END_ALL,
        lambda store, who: store.sessions.end_all(who, End(EndReason.KICKED, NOW)),
        "login",
    ),
    (scripts.ERASE, lambda store, who: store.sessions.erase(who, NOW), "login"),
]


@pytest.mark.parametrize(("script", "command", "newer"), FIRST_COPIES)
async def test_a_first_copy_undoes_nothing_newer(  # noqa: PLR0917  # three are fixtures
    store: Stores,
    other: Stores,
    proxy: Proxy,
    script: Script,
    command: Callable[[Stores, str], Awaitable[Any]],
    newer: str,
) -> None:
    await keep(store, make_session(SESSION))
    await command(other, "another")  # the server knows the script from here on
    await with_a_kept_copy(proxy, script, command(store, SUBJECT))
    if newer == "ban":
        await other.bans.put(ban_of())
    else:
        await other.bans.lift(SUBJECT, NOW)
        await keep(other, make_session("again"))
    await asyncio.to_thread(proxy.deliver)
    expected, state = (ban_of(), Unknown) if newer == "ban" else (None, Active)
    assert await other.bans.find(SUBJECT, NOW) == expected
    assert isinstance(await other.sessions.touch("again", 0, NOW), state)


@pytest.mark.parametrize(
    ("presented", "use"),
    [
        (0, lambda store: store.sessions.touch(SESSION, 1, NOW)),
        (1, lambda store: store.sessions.rotate(rotation_of(2, session_id=SESSION))),
    ],
    ids=["the predecessor", "the current token"],
)
async def test_a_first_copy_that_comes_after_its_second_run_judges_nothing(
    store: Stores, other: Stores, proxy: Proxy, presented: int, use: Command
) -> None:
    await keep(store, make_session(SESSION))
    await store.sessions.rotate(rotation_of(0, session_id=SESSION))
    refresh = store.sessions.rotate(rotation_of(presented, session_id=SESSION))
    outcome = await with_a_kept_copy(proxy, scripts.ROTATE, refresh)
    assert isinstance(outcome, Rotated | Replayed)
    assert isinstance(await use(other), Rotated | Active)
    await asyncio.to_thread(proxy.deliver)
    assert isinstance(await other.sessions.touch(SESSION, 3, NOW), Active)
