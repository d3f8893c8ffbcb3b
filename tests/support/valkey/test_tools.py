"""The tools of the store tests, as far as store tests would not notice their faults."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection

from tests.support.processes import soon
from tests.support.valkey.process import ProgramMissing, program
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

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
