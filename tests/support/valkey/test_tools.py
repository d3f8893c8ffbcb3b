"""The tools of the store's tests do what they say. What a store test would notice is not here."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

from tests.support.authority import Authority
from tests.support.valkey.process import soon
from tests.support.valkey.program import ProgramMissing, program
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import SentinelTrio, Server, standalone

ROOT = Path(__file__).parents[3]


@pytest.fixture
def proxy(valkey: Server) -> Iterator[Proxy]:
    with Proxy(valkey.port) as between:
        yield between


def connect(url: str) -> Redis:
    client = Redis.from_url(url, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
    assert isinstance(client, Redis)
    return client


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[Redis]:
    async with connect(proxy.url) as connected:
        yield connected


# --- servers ---


ORPHAN = """
import sys, time
from pathlib import Path
from tests.support.valkey.servers import standalone
with standalone(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    time.sleep(600)
"""


def test_a_server_dies_with_the_process_that_started_it(valkey: Server, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ORPHAN, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        port = int(starter.stdout.readline())
        stranger = Server(tmp_path / "unused")
        stranger.close()
        stranger.port = port
        assert stranger.cli("PING") == "PONG"
        starter.kill()
    soon(lambda: _refuses(stranger))


def _refuses(server: Server) -> bool:
    try:
        server.cli("PING")
    except ConnectionError:
        return True
    return False


def test_a_killed_server_comes_back_on_its_port_with_its_data(
    valkey: Server, tmp_path: Path
) -> None:
    with standalone(tmp_path, appendonly=True) as server:
        server.cli("SET", "kept", 1)
        server.kill()
        assert _refuses(server)
        server.start()
        assert server.cli("GET", "kept") == "1"


@pytest.mark.parametrize(
    "harm",
    [lambda server: server.cli("SET", "left", "behind"), Server.freeze, Server.kill],
    ids=["written", "frozen", "killed"],
)
def test_each_test_gets_a_fresh_server(valkey: Server, harm: Callable[[Server], None]) -> None:
    assert valkey.cli("DBSIZE") == 0
    harm(valkey)


def test_a_failover_promotes_the_replica(
    valkey_sentinels: SentinelTrio,
) -> None:
    dead = valkey_sentinels.kill_master()
    promoted = valkey_sentinels.wait_for_failover(dead)
    assert promoted.cli("SET", "after", 1) == "OK"
    valkey_sentinels.revive(dead)
    assert valkey_sentinels.replica is dead
    assert promoted.cli("WAIT", 1, 5000) == 1
    assert dead.cli("GET", "after") == "1"


def test_a_missing_server_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/no/redis-server")
    with pytest.raises(ProgramMissing, match=r"^/no/redis-server is not there$"):
        program()


# --- the network between ---


async def test_a_lost_reply_is_lost_after_the_commit(
    client: Redis, proxy: Proxy, valkey: Server
) -> None:
    proxy.lose_reply(rb"^INCRBY count 1$")
    with pytest.raises(NoConnection):
        await client.incr("count")
    assert valkey.cli("GET", "count") == "1"
    assert proxy.lost == 1
    assert await client.incr("count") == 2


async def test_the_reply_of_the_right_command_of_a_pipeline_is_lost(
    client: Redis, proxy: Proxy, valkey: Server
) -> None:
    proxy.lose_reply(rb"^EXEC")
    transaction = client.pipeline(transaction=True)
    transaction.incr("count")
    with pytest.raises(NoConnection):
        await transaction.execute()
    assert valkey.cli("GET", "count") == "1"


async def test_held_replies_arrive_when_the_network_is_good_again(
    client: Redis, proxy: Proxy, valkey: Server
) -> None:
    await client.ping()
    proxy.hold()
    waiting = asyncio.ensure_future(client.incr("count"))
    await asyncio.to_thread(proxy.wait_for, rb"^INCRBY count 1$")
    await asyncio.to_thread(soon, lambda: valkey.cli("GET", "count") == "1")
    assert not waiting.done()
    proxy.pass_through()
    assert await waiting == 1


async def test_a_delay_delays(client: Redis, proxy: Proxy) -> None:
    await client.ping()
    proxy.delay(0.2)
    begun = time.monotonic()
    await client.ping()
    assert time.monotonic() - begun >= 0.2


async def test_a_swallowing_network_accepts_and_never_replies(
    client: Redis, proxy: Proxy, valkey: Server
) -> None:
    proxy.swallow()
    with pytest.raises(NoAnswer):
        await client.set("never", "there")
    assert proxy.opened == 1
    proxy.pass_through()
    assert valkey.cli("GET", "never") is None
    assert await client.ping()


async def test_a_refused_and_cut_network_looks_like_a_dead_host(
    client: Redis, proxy: Proxy
) -> None:
    await client.ping()
    assert (proxy.open, proxy.opened) == (1, 1)
    proxy.refuse()
    await client.ping()
    proxy.cut()
    assert proxy.open == 0
    with pytest.raises(NoConnection):
        await client.ping()
    proxy.pass_through()
    await client.ping()
    assert (proxy.open, proxy.opened) == (1, 2)


async def test_only_clients_of_the_authority_trust_the_tls_server(
    valkey: Server, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    stranger = Authority(tmp_path / "stranger")
    with Proxy(valkey.port, tls=authority.server()) as proxy:
        async with connect(f"{proxy.url}?ssl_ca_certs={authority.file}") as client:
            assert await client.ping()
        async with connect(f"{proxy.url}?ssl_ca_certs={stranger.file}") as client:
            with pytest.raises(NoConnection, match="certificate verify failed"):
                await client.ping()
