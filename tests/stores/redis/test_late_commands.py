"""A command that reaches the server after its caller was answered changes and judges nothing."""

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from app.sessions.outcomes import Acquired, Active, Replayed, Reused, Rotated
from app.sessions.ports import Stores
from app.stores.redis.codec import SESSION_PREFIX
from app.stores.redis.engine import ServerClock
from app.stores.redis.scripts import SCRIPTS
from tests.stores.builders import HOUR, NOW, SUBJECT, ban_of, lease_of
from tests.stores.redis.opening import engine_of, fields_of, opened
from tests.stores.steps import (
    Act,
    Step,
    acquire,
    active_ids,
    add,
    create,
    end_all,
    erase,
    fails,
    find,
    lift,
    play,
    put,
    rotate,
    run,
    touch,
)
from tests.support.fakes import RecordedEvents
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server


@pytest.fixture
def command_timeout() -> float:
    return 0.5


AGAIN_IS_ACTIVE: Step = (touch(0, session_id="again"), Active)
LATE: list[tuple[str, Act, Sequence[Act], Step]] = [
    ("rotate", rotate(0), [rotate(0), touch(1)], (rotate(1), Rotated)),
    ("end_all", end_all(), [add("again")], AGAIN_IS_ACTIVE),
    ("lift", lift(), [put(ban_of())], (find(), ban_of())),
    ("ban", put(ban_of()), [put(ban_of()), lift()], (find(), None)),
    ("acquire", acquire(lease_of()), [], (acquire(lease_of(holder="b")), Acquired())),
    ("create_session", create(lease_of(), "late"), [], (active_ids(), ["session-a"])),
]


@pytest.mark.parametrize(
    ("script", "late", "meanwhile", "found"), LATE, ids=[script for script, *_ in LATE]
)
async def test_a_late_command_changes_nothing(  # noqa: PLR0917  # four are fixtures
    valkey: Server,
    store: Stores,
    other: Stores,
    proxy: Proxy,
    script: str,
    late: Act,
    meanwhile: Sequence[Act],
    found: Step,
) -> None:
    await run(store, add())  # it knows the server's clock from here on
    valkey.cli("SCRIPT", "LOAD", SCRIPTS[script].text)
    proxy.keep_back(SCRIPTS[script].digest.encode())
    assert await fails(late(store))
    await run(other, *meanwhile)
    await asyncio.to_thread(proxy.deliver)
    await play(other, found)


@pytest.mark.parametrize("jump", [-10_000, 10_000])
async def test_a_jump_of_the_servers_clock_fails_no_command(
    valkey: Server, store: Stores, jump: int
) -> None:
    await run(store, add())
    seconds, _ = valkey.cli("TIME")
    engine_of(store)._server_clock.learn(1000 * int(seconds) - jump, anew=True)
    await play(store, (touch(0), Active))


def test_a_reply_that_was_long_on_its_way_does_not_shorten_the_life_of_commands() -> None:
    clock = ServerClock()
    clock.learn(10_000)
    clock.learn(9_600)
    issued, _ = clock.window(time.monotonic() + 1).split()
    assert int(issued) >= 10_000


async def test_a_used_token_is_judged_after_the_servers_clock_has_jumped_back(
    valkey: Server, store: Stores
) -> None:
    await run(store, add(generation=2))
    valkey.cli("HSET", SESSION_PREFIX + "session-a", "rotated_at", 1000 * 2**40)
    await play(store, (rotate(0), Reused("stale")))


async def test_a_command_whose_time_is_over_is_not_sent(
    valkey: Server, events: RecordedEvents
) -> None:
    async with opened(valkey.url, events, command_timeout=0.05) as hasty:
        assert await fails(touch(0)(hasty))
    assert fields_of(events, "store_failed") == ["TimeoutError"]


async def with_a_kept_copy(store: Stores, proxy: Proxy, script: str, act: Act) -> object:
    """Run the command, whose first copy the network keeps back; its second run replies."""
    proxy.keep_back(SCRIPTS[script].digest.encode())
    running = asyncio.ensure_future(act(store))
    await asyncio.to_thread(proxy.wait_until, lambda: proxy.kept != b"")
    proxy.cut()
    return await running


A_BAN: tuple[list[Act], list[Step]] = ([put(ban_of())], [(find(), ban_of())])
A_LOGIN: tuple[list[Act], list[Step]] = ([lift(), add("again")], [(find(), None), AGAIN_IS_ACTIVE])


@pytest.mark.parametrize(
    ("script", "command_for", "newer"),
    [
        ("lift", lift, A_BAN),
        ("ban", lambda who: put(ban_of(who, until=NOW + HOUR)), A_BAN),
        ("ban", lambda who: put(ban_of(who)), A_LOGIN),
        ("end_all", lambda who: end_all(subject=who), A_LOGIN),
        ("erase", lambda who: erase(subject=who), A_LOGIN),
    ],
)
async def test_a_first_copy_undoes_nothing_newer(  # noqa: PLR0917  # three are fixtures
    store: Stores,
    other: Stores,
    proxy: Proxy,
    script: str,
    command_for: Callable[[str], Act],
    newer: tuple[list[Act], list[Step]],
) -> None:
    await run(store, add())
    await run(other, command_for("another"))  # the server knows the script from here on
    await with_a_kept_copy(store, proxy, script, command_for(SUBJECT))
    acts, found = newer
    await run(other, *acts)
    await asyncio.to_thread(proxy.deliver)
    await play(other, *found)


@pytest.mark.parametrize(
    ("presented", "use"),
    [(0, touch(1)), (1, rotate(2))],
    ids=["the predecessor", "the current token"],
)
async def test_a_first_copy_that_comes_after_its_second_run_judges_nothing(
    store: Stores, other: Stores, proxy: Proxy, presented: int, use: Act
) -> None:
    await run(store, add(), rotate(0))
    outcome = await with_a_kept_copy(store, proxy, "rotate", rotate(presented))
    assert isinstance(outcome, Rotated | Replayed)
    assert isinstance(await use(other), Rotated | Active)
    await asyncio.to_thread(proxy.deliver)
    await play(other, (touch(3), Active))
