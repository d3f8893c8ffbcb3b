"""The tools of the store tests, as far as store tests would not notice their faults."""

import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection

from tests.support.processes import soon
from tests.support.valkey.process import ProgramMissing, program
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server

ROOT = Path(__file__).parents[3]


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


async def test_a_lost_reply_is_lost_after_the_commit(valkey: Server) -> None:
    with Proxy(valkey.port) as proxy:
        client = Connection(port=proxy.port, retry=Retry(NoBackoff(), 0))
        proxy.lose_reply(rb"^INCR count$")
        await client.send_command("INCR", "count")
        with pytest.raises(NoConnection):
            await client.read_response()
        assert valkey.cli("GET", "count") == "1"
        assert proxy.lost == 1
