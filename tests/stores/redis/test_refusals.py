"""A server that refuses commands: each raises StoreUnavailable and nothing else."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hiredis import ReplyError

from app.sessions.models import End, EndReason
from app.sessions.outcomes import Active, Ended, Replayed, Rotated, Unknown
from app.sessions.ports import Stores
from app.sessions.tokens import new_session_id
from app.stores.redis.codec import session_key
from app.stores.redis.engine import MAX_CONCURRENT
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
from tests.stores.redis.opening import (
    RECOVERY,
    SESSION,
    fails,
    fields_of,
    opened,
    seconds_until_it_works,
)
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.servers import SentinelTrio, Server, standalone

Command = Callable[[Stores], Awaitable[object]]
WRITES: dict[str, Command] = {
    "acquire": lambda store: store.tickets.acquire(lease_of("new", key="new")),
    "create_session": lambda store: store.tickets.create_session(
        lease_of("new"), make_session(SESSION), UNLIMITED
    ),
    "rotate": lambda store: store.sessions.rotate(rotation_of(0, session_id=SESSION)),
    "check_writable": lambda store: store.maintenance.check_writable(),
}
COMMANDS: dict[str, Command] = WRITES | {
    "release": lambda store: store.tickets.release(lease_of()),
    "touch": lambda store: store.sessions.touch(SESSION, 0, NOW),
    "active_sessions": lambda store: store.sessions.active_sessions(SUBJECT, NOW),
    "end": lambda store: store.sessions.end(SESSION, SUBJECT, End(EndReason.REVOKED, NOW)),
    "end_all": lambda store: store.sessions.end_all(SUBJECT, End(EndReason.KICKED, NOW)),
    "erase": lambda store: store.sessions.erase(SUBJECT, NOW),
    "lift": lambda store: store.bans.lift(SUBJECT, NOW),
    "put": lambda store: store.bans.put(ban_of()),
    "find": lambda store: store.bans.find(SUBJECT, NOW),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server of its own, whose configuration a test may change."""
    with standalone(tmp_path) as own:
        yield own


async def failed(store: Stores, commands: dict[str, Command]) -> list[str]:
    return [name for name, command in commands.items() if await fails(command(store))]


async def test_a_dead_server_fails_every_command_until_it_is_back(server: Server) -> None:
    events = RecordedEvents()
    async with opened(server.url, events) as store:
        await keep(store, make_session(SESSION))
        server.kill()
        assert await failed(store, COMMANDS) == list(COMMANDS)
        assert len(fields_of(events, "store_failed")) == len(COMMANDS)
        server.start()
        assert await seconds_until_it_works(store) < RECOVERY


async def test_scripts_are_loaded_again_after_a_flush_and_after_a_restart(server: Server) -> None:
    async with opened(server.url) as store:
        for forget in (lambda: server.cli("SCRIPT", "FLUSH"), lambda: _restart(server)):
            await keep(store, make_session(SESSION))
            await store.bans.put(ban_of("another"))
            forget()
            assert await failed(store, COMMANDS) == []


def _restart(server: Server) -> None:
    server.kill()
    server.start()


def configured(*pair: str, back: str) -> Callable[[Server], Callable[[], object]]:
    """Set a parameter of a server; what is returned sets it back."""

    def harm(server: Server) -> Callable[[], object]:
        server.cli("CONFIG", "SET", *pair)
        return lambda: server.cli("CONFIG", "SET", pair[0], back)

    return harm


full = configured("maxmemory", "1", back="0")


ENDS: dict[str, tuple[Command, EndReason]] = {
    "log out": (
        lambda store: store.sessions.end(SESSION, SUBJECT, End(EndReason.LOGGED_OUT, NOW)),
        EndReason.LOGGED_OUT,
    ),
    "kick": (COMMANDS["end_all"], EndReason.KICKED),
    "ban": (COMMANDS["put"], EndReason.BANNED),
    "erase": (COMMANDS["erase"], EndReason.ERASED),
    "reuse": (
        lambda store: store.sessions.rotate(rotation_of(0, session_id=SESSION)),
        EndReason.REFRESH_REUSED,
    ),
}


@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS)
async def test_a_session_ends_on_a_server_without_memory(
    server: Server, end: Command, reason: EndReason
) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session(SESSION, generation=5, device_type="ios"))
        full(server)
        assert not await fails(end(store))
        assert await store.sessions.touch(SESSION, 5, NOW) == Ended(reason)
        assert list(await store.sessions.active_sessions(SUBJECT, NOW)) == []


async def test_a_replay_and_a_bearer_are_answered_by_a_server_without_memory(
    server: Server,
) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session(SESSION))
        rotated = await store.sessions.rotate(rotation_of(0, session_id=SESSION))
        assert isinstance(rotated, Rotated)
        full(server)
        lost = rotation_of(0, session_id=SESSION)
        assert await store.sessions.rotate(lost) == Replayed(rotated.session)
        assert await store.sessions.touch(SESSION, 1, NOW) == Active(rotated.session)


def replica(stale: str) -> Callable[[Server], Callable[[], object]]:
    """Make a server the replica of a master that is not there."""

    def harm(server: Server) -> Callable[[], object]:
        server.cli("CONFIG", "SET", "replica-serve-stale-data", stale)
        server.cli("REPLICAOF", "127.0.0.1", "1")
        return lambda: server.cli("REPLICAOF", "NO", "ONE")

    return harm


def cannot_save(server: Server) -> Callable[[], object]:
    server.cli("CONFIG", "SET", "save", "3600 1")
    (server.folder / "dump.rdb").mkdir()
    server.cli("BGSAVE")
    soon(lambda: "rdb_last_bgsave_status:err" in server.cli("INFO", "persistence"))
    return lambda: server.cli("CONFIG", "SET", "save", "")


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(full, id="OOM"),
        pytest.param(configured("min-replicas-to-write", "1", back="0"), id="NOREPLICAS"),
        pytest.param(cannot_save, id="MISCONF"),
        pytest.param(replica(stale="yes"), id="READONLY"),
        pytest.param(replica(stale="no"), id="MASTERDOWN"),
    ],
)
async def test_a_server_that_refuses_writes_is_unavailable_until_it_accepts_them(
    server: Server, harm: Callable[[Server], Callable[[], object]]
) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session(SESSION))
        mend = harm(server)
        assert await failed(store, WRITES) == list(WRITES)
        await failed(store, COMMANDS)  # some may work; none may fail in another way
        mend()
        assert await seconds_until_it_works(store) < RECOVERY
        assert await failed(store, COMMANDS) == []


async def test_a_server_at_its_client_limit_is_unavailable(server: Server) -> None:
    server.cli("CONFIG", "SET", "maxclients", "4")
    with crowd(server, 4) as leave:
        async with opened(server.url) as store:
            assert await failed(store, COMMANDS) == list(COMMANDS)
            leave()
            assert await seconds_until_it_works(store) < RECOVERY


@contextmanager
def crowd(server: Server, count: int) -> Iterator[Callable[[], None]]:
    """Connect this many other clients; the value disconnects them."""
    with ExitStack() as stack:
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            one.sendall(b"PING\r\n")
            assert one.recv(100) == b"+PONG\r\n"

        def leave() -> None:
            stack.close()
            soon(lambda: _takes(server))

        yield leave


def _takes(server: Server) -> bool:
    try:
        return bool(server.cli("PING") == "PONG")
    except (ReplyError, OSError):
        return False


async def test_a_key_of_another_type_affects_no_other_session(server: Server) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session(SESSION))
        wrong = new_session_id()
        server.cli("SET", session_key(wrong), "no hash")
        assert await fails(store.sessions.touch(wrong, 0, NOW))
        assert await fails(store.sessions.rotate(rotation_of(0, session_id=wrong)))
        assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


async def test_sessions_are_unknown_after_a_flush(server: Server) -> None:
    async with opened(server.url) as store:
        await keep(store, make_session(SESSION))
        server.cli("FLUSHALL")
        assert await store.sessions.touch(SESSION, 0, NOW) == Unknown()
        assert await store.sessions.rotate(rotation_of(0, session_id=SESSION)) == Unknown()
        assert await store.sessions.end(SESSION, SUBJECT, End(EndReason.REVOKED, NOW)) == Unknown()
        assert await failed(store, COMMANDS) == []


async def test_a_server_that_is_loading_its_data_is_unavailable(tmp_path: Path) -> None:
    slow = ["--key-load-delay", "300", "--loading-process-events-interval-bytes", "1024"]
    with standalone(tmp_path, extra=["--enable-debug-command", "yes"]) as server:
        async with opened(server.url) as store:
            await keep(store, make_session(SESSION))
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
            assert isinstance(await store.sessions.touch(SESSION, 0, NOW), Active)


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
        await keep(store, make_session(SESSION))
        await store.sessions.rotate(rotation_of(0, session_id=SESSION))
        before = valkey_sentinels.master
        valkey_sentinels.sentinels[0].cli("SENTINEL", "FAILOVER", "mymaster")
        promoted = await asyncio.to_thread(valkey_sentinels.wait_for_failover, before)
        before.cli("REPLICAOF", "127.0.0.1", promoted.port)  # as the sentinels do a little later
        assert await seconds_until_it_works(store) < RECOVERY
        outcome = await store.sessions.rotate(rotation_of(1, session_id=SESSION))
        assert isinstance(outcome, Rotated | Replayed)


async def test_a_master_that_freezes_is_left_for_the_new_one(
    valkey_sentinels: SentinelTrio,
) -> None:
    async with opened(valkey_sentinels.url) as store:
        await asyncio.gather(
            *(store.sessions.touch(SESSION, 0, NOW) for _ in range(MAX_CONCURRENT))
        )
        before = valkey_sentinels.master
        before.freeze()
        await asyncio.to_thread(valkey_sentinels.wait_for_failover, before)
        assert await seconds_until_it_works(store) < RECOVERY
