"""The server is checked at the start, or as soon as it can be asked."""

import re
import time
from pathlib import Path

import pytest

from app.errors import StartupError
from app.stores.redis.maintenance import check_server_info
from tests.stores.builders import keep, make_session, rotation_of
from tests.stores.redis.opening import SESSION, fails, fields_of, opened
from tests.support.fakes import RecordedEvents
from tests.support.valkey.servers import standalone

FIT: dict[str, object] = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "connected_slaves": 0,
}


@pytest.mark.parametrize("version", ["6.2.0", "6.10.1", "7.0.15", "8.0.0", "255.255.255"])
def test_a_suitable_server_records_nothing(version: str) -> None:
    events = RecordedEvents()
    check_server_info(FIT | {"redis_version": version}, events)
    assert events.entries == []


@pytest.mark.parametrize(
    ("unfit", "line"),
    [
        *(
            ({"redis_version": each}, f"Redis {each} is too old; 6.2 or Valkey 7.2 will do")
            for each in ("6.1.9", "5.0.14", "2.8")
        ),
        *(
            ({"maxmemory_policy": each}, f"the server evicts keys ({each}); ")
            for each in ("allkeys-lru", "volatile-ttl")
        ),
    ],
)
def test_a_server_that_is_too_old_or_evicts_keys_is_refused(
    unfit: dict[str, object], line: str
) -> None:
    with pytest.raises(StartupError, match="^" + re.escape(f"STORE_URL: {line}")):
        check_server_info(FIT | unfit, RecordedEvents())


def test_a_server_without_an_append_only_file_is_recorded() -> None:
    events = RecordedEvents()
    check_server_info(FIT | {"aof_enabled": 0}, events)
    assert events.names == ["store_not_durable"]
    assert fields_of(events, "store_not_durable") == ["no_append_only_file"]


@pytest.mark.parametrize("name", FIT)
@pytest.mark.parametrize("odd", [None, "", "odd value", "%", {}, ["1"]])
def test_an_info_field_that_is_missing_or_odd_is_recorded_and_not_refused(
    name: str, odd: object
) -> None:
    events = RecordedEvents()
    info = FIT | {name: odd}
    if odd is None:
        del info[name]
    check_server_info(info, events)
    assert events.names == ["store_not_checked"]
    assert fields_of(events, "store_not_checked") == [name]


# --- real servers ---


async def test_a_server_that_refuses_info_is_used_with_a_warning(tmp_path: Path) -> None:
    events = RecordedEvents()
    with standalone(tmp_path) as server:
        server.cli("ACL", "SETUSER", "default", "-info")
        async with opened(server.url, events) as store:
            await store.maintenance.check_writable()
            await keep(store, make_session(SESSION))
            began = time.monotonic()
            for generation in range(20):
                await store.sessions.rotate(rotation_of(generation, session_id=SESSION))
            assert time.monotonic() - began < 1  # no write waits for a replica
    assert events.names == ["store_not_checked"]
    assert fields_of(events, "store_not_checked") == ["info_refused"]


@pytest.mark.parametrize("command", ["eval", "evalsha", "set", "@scripting"])
async def test_a_server_that_refuses_scripts_is_not_ready(tmp_path: Path, command: str) -> None:
    events = RecordedEvents()
    with standalone(tmp_path) as server:
        server.cli("ACL", "SETUSER", "default", f"-{command}")
        async with opened(server.url, events) as store:
            assert await fails(store.maintenance.check_writable())
            server.cli("ACL", "SETUSER", "default", "+@all")
            await store.maintenance.check_writable()
    kind = "ResponseError" if command == "set" else "NoPermissionError"  # inside a script
    assert fields_of(events, "store_failed") == [kind]


async def test_a_server_that_evicts_keys_is_refused_at_the_start(tmp_path: Path) -> None:
    with (
        standalone(tmp_path, extra=["--maxmemory-policy", "allkeys-lru"]) as server,
        pytest.raises(StartupError) as refused,
    ):
        async with opened(server.url):
            pass
    assert str(refused.value).count("\n") == 0
    assert "maxmemory-policy noeviction" in str(refused.value)


@pytest.mark.parametrize("durable", [True, False])
async def test_a_store_opens_without_its_server_and_checks_it_once_later(
    tmp_path: Path, *, durable: bool
) -> None:
    events = RecordedEvents()
    with standalone(tmp_path, appendonly=durable) as server:
        server.kill()
        async with opened(server.url, events) as store:
            assert await fails(store.maintenance.check_writable())
            server.start()
            await store.maintenance.check_writable()
            await store.maintenance.check_writable()
    reasons = fields_of(events, "store_not_durable")
    assert reasons == ([] if durable else ["no_append_only_file"])


async def test_an_unsuitable_server_that_came_late_is_not_written_to(tmp_path: Path) -> None:
    with standalone(tmp_path, extra=["--maxmemory-policy", "allkeys-lru"]) as server:
        server.kill()
        async with opened(server.url) as store:
            server.start()
            assert await fails(store.maintenance.check_writable())
            assert server.cli("DBSIZE") == 0
            server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await store.maintenance.check_writable()
            assert server.cli("DBSIZE") == 1
