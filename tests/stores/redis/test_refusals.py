"""A server that refuses commands: each raises StoreUnavailable and nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

import pytest
from hiredis import ReplyError

from app.sessions.models import EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Rotated, Unknown
from app.sessions.ports import Stores
from app.stores.redis.codec import SESSION_PREFIX
from app.stores.redis.engine import MAX_CONCURRENT
from tests.stores.builders import ban_of, lease_of
from tests.stores.redis.opening import RECOVERY, fields_of, opened, seconds_until_it_works
from tests.stores.steps import (
    ENDS,
    Act,
    acquire,
    active_ids,
    add,
    check_writable,
    create,
    end,
    end_all,
    erase,
    fails,
    find,
    lift,
    play,
    put,
    release,
    rotate,
    run,
    touch,
)
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.servers import SentinelTrio, Server, standalone

WRITES: dict[str, Act] = {
    "acquire": acquire(lease_of("new", key="new")),
    "create_session": create(lease_of("new")),
    "rotate": rotate(0),
    "check_writable": check_writable(),
}
COMMANDS: dict[str, Act] = WRITES | {
    "release": release(lease_of()),
    "touch": touch(0),
    "active_sessions": active_ids(),
    "end": end(EndReason.REVOKED),
    "end_all": end_all(),
    "erase": erase(),
    "lift": lift(),
    "put": put(ban_of()),
    "find": find(),
}


@pytest.fixture
async def store(server: Server, events: RecordedEvents) -> AsyncIterator[Stores]:
    async with opened(server.url, events) as instance:
        yield instance


async def failed(store: Stores, commands: dict[str, Act]) -> list[str]:
    return [name for name, command in commands.items() if await fails(command(store))]


async def test_a_dead_server_fails_every_command_until_it_is_back(
    server: Server, store: Stores, events: RecordedEvents
) -> None:
    await run(store, add())
    server.kill()
    assert await failed(store, COMMANDS) == list(COMMANDS)
    assert len(fields_of(events, "store_failed")) == len(COMMANDS)
    server.start()
    assert await seconds_until_it_works(store) < RECOVERY


async def test_scripts_are_loaded_again_after_a_flush_and_after_a_restart(
    server: Server, store: Stores
) -> None:
    await run(store, add(), put(ban_of("another")))
    server.cli("SCRIPT", "FLUSH")
    assert await failed(store, COMMANDS) == []
    await run(store, add(), put(ban_of("another")))
    server.kill()
    server.start()
    assert await failed(store, COMMANDS) == []


@pytest.mark.parametrize("reason", [reason for reason in ENDS if reason is not EndReason.REPLACED])
async def test_a_session_ends_on_a_server_without_memory(
    server: Server, store: Stores, reason: EndReason
) -> None:
    await run(store, add(generation=5, device_type="ios"))
    server.cli("CONFIG", "SET", "maxmemory", "1")
    assert not await fails(ENDS[reason](store))
    await play(store, (touch(5), Ended(reason)), (active_ids(), []))


async def test_a_replay_and_a_bearer_are_answered_by_a_server_without_memory(
    server: Server, store: Stores
) -> None:
    await run(store, add())
    rotated = await rotate(0)(store)
    assert isinstance(rotated, Rotated)
    server.cli("CONFIG", "SET", "maxmemory", "1")
    await play(store, (rotate(0), Replayed(rotated.session)), (touch(1), Active(rotated.session)))


Commands: TypeAlias = Sequence[tuple[str, ...]]
NO_MASTER, ALONE = ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")
STALE = ("CONFIG", "SET", "replica-serve-stale-data")
HARMS: dict[str, tuple[Commands, tuple[str, ...]]] = {
    "OOM": ([("CONFIG", "SET", "maxmemory", "1")], ("CONFIG", "SET", "maxmemory", "0")),
    "NOREPLICAS": (
        [("CONFIG", "SET", "min-replicas-to-write", "1")],
        ("CONFIG", "SET", "min-replicas-to-write", "0"),
    ),
    "MISCONF": ([("CONFIG", "SET", "save", "3600 1"), ("BGSAVE",)], ("CONFIG", "SET", "save", "")),
    "READONLY": ([(*STALE, "yes"), NO_MASTER], ALONE),
    "MASTERDOWN": ([(*STALE, "no"), NO_MASTER], ALONE),
}
"""By the error: the commands to the server that bring it about, and the one that ends it."""


@pytest.mark.parametrize(("harm", "mend"), HARMS.values(), ids=HARMS)
async def test_a_server_that_refuses_writes_is_unavailable_until_it_accepts_them(
    server: Server, store: Stores, harm: Commands, mend: tuple[str, ...]
) -> None:
    (server.folder / "dump.rdb").mkdir()  # no BGSAVE succeeds
    await run(store, add())
    for command in harm:
        server.cli(*command)
    soon(lambda: "rdb_bgsave_in_progress:0" in server.cli("INFO", "persistence"))
    assert await failed(store, WRITES) == list(WRITES)
    await failed(store, COMMANDS)  # some may work; none may fail in another way
    server.cli(*mend)
    assert await seconds_until_it_works(store) < RECOVERY
    assert await failed(store, COMMANDS) == []


async def test_a_server_at_its_client_limit_is_unavailable(server: Server) -> None:
    server.cli("CONFIG", "SET", "maxclients", "4")
    with ExitStack() as crowd:
        for _ in range(4):
            other = crowd.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            other.sendall(b"PING\r\n")
            assert other.recv(100) == b"+PONG\r\n"
        async with opened(server.url) as store:
            assert await failed(store, COMMANDS) == list(COMMANDS)
            crowd.close()
            soon(lambda: _takes(server))
            assert await seconds_until_it_works(store) < RECOVERY


def _takes(server: Server) -> bool:
    try:
        return bool(server.cli("PING") == "PONG")
    except (ReplyError, OSError):
        return False


async def test_a_key_of_another_type_affects_no_other_session(
    server: Server, store: Stores
) -> None:
    await run(store, add())
    server.cli("SET", SESSION_PREFIX + "wrong", "no hash")
    assert await fails(touch(0, session_id="wrong")(store))
    assert await fails(rotate(0, session_id="wrong")(store))
    await play(store, (touch(0), Active))


async def test_sessions_are_unknown_after_a_flush(server: Server, store: Stores) -> None:
    await run(store, add())
    server.cli("FLUSHALL")
    await play(store, *((act, Unknown()) for act in (touch(0), rotate(0), end(EndReason.REVOKED))))
    assert await failed(store, COMMANDS) == []


async def test_a_server_that_is_loading_its_data_is_unavailable(tmp_path: Path) -> None:
    slow = ["--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"]
    with standalone(tmp_path, extra=["--enable-debug-command", "yes"]) as server:
        async with opened(server.url) as store:
            await run(store, add())
            server.cli("DEBUG", "POPULATE", 10_000, "ballast", 100)
            server.cli("SAVE")
            server.kill()
            server.arguments = (*server.arguments, *slow)
            server.launch()
            soon(lambda: _loading(server))
            assert await failed(store, COMMANDS) == list(COMMANDS)
            assert _loading(server), "it was over before everything was asked"
            server.cli("CONFIG", "SET", "key-load-delay", "0")
            server.wait_until_ready()
            assert await seconds_until_it_works(store) < RECOVERY
            await play(store, (touch(0), Active))


def _loading(server: Server) -> bool:
    try:
        return "\nloading:1" in server.cli("INFO", "persistence")
    except ConnectionError:
        return False


# --- several servers ---


async def test_a_rotation_that_meets_a_demoted_master_finds_the_new_one(
    valkey_sentinels: SentinelTrio,
) -> None:
    async with opened(valkey_sentinels.url) as store:
        await run(store, add(), rotate(0))
        before = valkey_sentinels.master
        valkey_sentinels.sentinels[0].cli("SENTINEL", "FAILOVER", "mymaster")
        promoted = await asyncio.to_thread(valkey_sentinels.wait_for_failover, before)
        before.cli("REPLICAOF", "127.0.0.1", promoted.port)  # as the sentinels do a little later
        assert await seconds_until_it_works(store) < RECOVERY
        assert isinstance(await rotate(1)(store), Rotated | Replayed)


async def test_a_master_that_freezes_is_left_for_the_new_one(
    valkey_sentinels: SentinelTrio,
) -> None:
    async with opened(valkey_sentinels.url) as store:
        await asyncio.gather(*(touch(0)(store) for _ in range(MAX_CONCURRENT)))
        before = valkey_sentinels.master
        before.freeze()
        await asyncio.to_thread(valkey_sentinels.wait_for_failover, before)
        assert await seconds_until_it_works(store) < RECOVERY
