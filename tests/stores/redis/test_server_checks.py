"""Whether a server is fit to keep sessions: judged at the start, or as soon as it can be asked."""

from pathlib import Path

import pytest

from app.errors import StartupError
from app.stores.redis import server_checks
from tests.stores.redis.opening import Notes, fails, opened
from tests.support.valkey.servers import Cluster, standalone

FIT = {"redis_version": "7.2.4", "maxmemory_policy": "noeviction", "aof_enabled": 1}


def refusal(*servers: dict[str, object]) -> str:
    with pytest.raises(StartupError) as refused:
        server_checks.inspect(servers, Notes())
    return str(refused.value)


@pytest.mark.parametrize("version", ["6.2.0", "6.10.1", "7.0.15", "8.0.0", "255.255.255"])
def test_a_server_that_is_fit_is_nothing_to_talk_about(version: str) -> None:
    notes = Notes()
    server_checks.inspect([FIT | {"redis_version": version}], notes)
    assert notes.entries == []


@pytest.mark.parametrize("version", ["6.1.9", "5.0.14", "2.8"])
def test_a_server_that_is_too_old_is_refused(version: str) -> None:
    line = refusal(FIT | {"redis_version": version})
    assert line == f"STORE_URL: Redis {version} is too old; 6.2 or Valkey 7.2 will do"


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_one_server_of_several_that_evicts_keys_is_enough_to_refuse(policy: str) -> None:
    line = refusal(FIT, FIT | {"maxmemory_policy": policy})
    assert line.startswith(f"STORE_URL: the server evicts keys ({policy}); ")


def test_one_server_of_several_that_keeps_nothing_on_disk_is_noted_once() -> None:
    notes = Notes()
    server_checks.inspect([FIT, FIT | {"aof_enabled": 0}, FIT | {"aof_enabled": 0}], notes)
    assert notes.entries == [("store_not_durable", "no_append_only_file")]


# --- real servers ---


async def test_a_server_that_keeps_a_log_of_its_writes_is_fit(tmp_path: Path) -> None:
    notes = Notes()
    with standalone(tmp_path, appendonly=True) as server:
        async with opened(server.url, notes) as store:
            await store.maintenance.check_writable()
    assert notes.entries == []


async def test_every_master_of_a_cluster_is_looked_at(valkey_cluster: Cluster) -> None:
    last = valkey_cluster.nodes[-1]
    last.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(StartupError, match="allkeys-lru"):
            async with opened(valkey_cluster.url):
                pass
    finally:
        last.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")


async def test_a_server_that_evicts_keys_is_refused_at_the_start(tmp_path: Path) -> None:
    with (
        standalone(tmp_path, extra=["--maxmemory-policy", "allkeys-lru"]) as server,
        pytest.raises(StartupError) as refused,
    ):
        async with opened(server.url):
            pass
    assert str(refused.value).count("\n") == 0
    assert "maxmemory-policy noeviction" in str(refused.value)


async def test_a_store_opens_without_its_server_and_works_when_that_is_there(
    tmp_path: Path,
) -> None:
    notes = Notes()
    with standalone(tmp_path) as server:
        server.kill()
        async with opened(server.url, notes) as store:
            assert await fails(store.maintenance.check_writable())
            server.start()
            await store.maintenance.check_writable()
            await store.maintenance.check_writable()
    assert notes.of("store_not_durable") == ["no_append_only_file"]


async def test_a_server_that_came_late_and_is_not_fit_is_not_written_to(tmp_path: Path) -> None:
    with standalone(tmp_path, extra=["--maxmemory-policy", "allkeys-lru"]) as server:
        server.kill()
        async with opened(server.url) as store:
            server.start()
            assert await fails(store.maintenance.check_writable())
            assert server.cli("DBSIZE") == 0
            server.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await store.maintenance.check_writable()
            assert server.cli("DBSIZE") == 1
