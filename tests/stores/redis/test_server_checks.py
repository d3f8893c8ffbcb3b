"""The server is checked at the start, or as soon as it can be asked."""

import time
from pathlib import Path

import pytest

from app.errors import StartupError
from app.stores.redis.maintenance import check_server_info
from tests.stores.redis.opening import fields_of, opened
from tests.stores.steps import add, check_writable, fails, rotate, run
from tests.support.fakes import RecordedEvents
from tests.support.valkey.servers import Server, standalone

FIT: dict[str, object] = {
    "redis_version": "7.2.4",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "connected_slaves": 0,
}


@pytest.mark.parametrize("version", ["6.2.0", "6.10.1", "7.0.15", "8.0.0", "255.255.255"])
def test_a_suitable_server_records_nothing(version: str, events: RecordedEvents) -> None:
    check_server_info(FIT | {"redis_version": version}, events)
    assert events.entries == []


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("redis_version", "6.1.9", "Redis 6.1.9 is too old; 6.2 or Valkey 7.2 will do"),
        ("redis_version", "5.0.14", "Redis 5.0.14 is too old; "),
        ("redis_version", "2.8", "Redis 2.8 is too old; "),
        ("maxmemory_policy", "allkeys-lru", "the server evicts keys (allkeys-lru); "),
        ("maxmemory_policy", "volatile-ttl", "the server evicts keys (volatile-ttl); "),
    ],
)
def test_a_server_that_is_too_old_or_evicts_keys_is_refused(
    name: str, value: str, line: str, events: RecordedEvents
) -> None:
    with pytest.raises(StartupError) as refused:
        check_server_info(FIT | {name: value}, events)
    assert str(refused.value).startswith(f"STORE_URL: {line}")
    assert "\n" not in str(refused.value)


def test_a_server_without_an_append_only_file_is_recorded(events: RecordedEvents) -> None:
    check_server_info(FIT | {"aof_enabled": 0}, events)
    assert events.names == ["store_not_durable"]
    assert fields_of(events, "store_not_durable") == ["no_append_only_file"]


@pytest.mark.parametrize("name", FIT)
@pytest.mark.parametrize("odd", [None, "", "odd value", "%", {}, ["1"]])
def test_an_info_field_that_is_missing_or_odd_is_recorded_and_not_refused(
    name: str, odd: object, events: RecordedEvents
) -> None:
    info = FIT | {name: odd}
    if odd is None:
        del info[name]
    check_server_info(info, events)
    assert events.names == ["store_not_checked"]
    assert fields_of(events, "store_not_checked") == [name]


# --- real servers ---


async def test_a_server_that_refuses_info_is_used_with_a_warning(
    server: Server, events: RecordedEvents
) -> None:
    server.cli("ACL", "SETUSER", "default", "-info")
    async with opened(server.url, events) as store:
        await run(store, check_writable(), add())
        began = time.monotonic()
        await run(store, *map(rotate, range(20)))
        assert time.monotonic() - began < 1  # no write waits for a replica
    assert events.names == ["store_not_checked"]
    assert fields_of(events, "store_not_checked") == ["info_refused"]


@pytest.mark.parametrize("command", ["eval", "evalsha", "set", "@scripting"])
async def test_a_server_that_refuses_scripts_is_not_ready(
    server: Server, events: RecordedEvents, command: str
) -> None:
    server.cli("ACL", "SETUSER", "default", f"-{command}")
    async with opened(server.url, events) as store:
        assert await fails(check_writable()(store))
        server.cli("ACL", "SETUSER", "default", "+@all")
        await run(store, check_writable())
    kind = "ResponseError" if command == "set" else "NoPermissionError"  # inside a script
    assert fields_of(events, "store_failed") == [kind]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_store_opens_without_its_server_and_checks_it_once_later(
    tmp_path: Path, events: RecordedEvents, *, durable: bool
) -> None:
    with standalone(tmp_path, appendonly=durable) as server:
        server.kill()
        async with opened(server.url, events) as store:
            assert await fails(check_writable()(store))
            server.start()
            await run(store, check_writable(), check_writable())
    reasons = fields_of(events, "store_not_durable")
    assert reasons == ([] if durable else ["no_append_only_file"])


async def test_a_server_that_evicts_keys_is_refused_at_the_start_and_not_written_to_later(
    tmp_path: Path,
) -> None:
    with standalone(tmp_path, extra=["--maxmemory-policy", "allkeys-lru"]) as server:
        with pytest.raises(StartupError, match="maxmemory-policy noeviction"):
            async with opened(server.url):
                pass
        server.kill()
        async with opened(server.url) as store:
            server.start()
            assert await fails(check_writable()(store))
            assert server.cli("DBSIZE") == 0
            server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await run(store, check_writable())
            assert server.cli("DBSIZE") == 1
