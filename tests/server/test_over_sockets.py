"""Behaviour that only real sockets show: a client that goes on sending, half-close, memory."""

import asyncio
import os
import socket
from collections.abc import Coroutine
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from tests.server.conftest import Serve, next_response, responses, serving, until_end
from tests.server.examples import CHUNKED, GET, get, post
from tests.support.processes import Program

T = TypeVar("T")


@pytest.mark.parametrize(("path", "status"), [(b"/first", 413), (b"/authz/a", 200)])
async def test_client_that_goes_on_sending_can_still_read_its_response(
    serve: Serve, path: bytes, status: int
) -> None:
    server = await serve()
    async with server.connected() as (reader, writer):
        writer.write(post(b"Content-Length: 20000000").replace(b"/first", path))
        for _ in range(20):
            writer.write(b" " * 1_000_000)
            await writer.drain()
        assert (await next_response(reader)).status == status
        assert await reader.read() == b""


def in_uvloop(ask: Coroutine[Any, Any, T]) -> T:
    """Run in the event loop of production."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ask)


async def test_client_that_half_closes_at_once_gets_its_response() -> None:
    (response,) = responses(await asyncio.to_thread(in_uvloop, _ask_and_half_close()))
    assert (response.status, response.echo["body"]) == (200, "{}")


async def _ask_and_half_close() -> bytes:
    async with serving() as server, server.connected() as (reader, writer):
        writer.write(post(b"Content-Length: 2") + b"{}")
        writer.write_eof()
        return await until_end(reader)


async def test_new_connections_are_accepted_together_while_others_are_busy() -> None:
    assert await asyncio.to_thread(in_uvloop, _accepted_in_two_rounds(16)) == 16


async def _accepted_in_two_rounds(number: int) -> int:
    async with serving() as server:
        with ExitStack() as stack:
            for _ in range(number):  # the kernel connects them, and the loop does not run meanwhile
                client = socket.create_connection(("127.0.0.1", server.port))
                stack.enter_context(client)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return len(server.connections())


# --- memory ---


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="/proc, which tells how much memory a process has, is only on Linux",
)
@pytest.mark.long
async def test_gigabytes_that_are_sent_are_not_held(tmp_path: Path) -> None:
    environment = os.environ | {"PORT": "0"}
    with closing(Program(tmp_path, "-m", "app", "sandbox", environment=environment)) as program:
        port = int(program.line_with("Ticketgate sandbox on").rpartition(":")[2])
        await asyncio.to_thread(pour, port, get(), 0)
        before = peak_kibibytes(program)
        heads = (
            CHUNKED + b"40000000\r\n",
            CHUNKED + b"1;",
            post(b"Content-Length: 1073741824"),
            GET + b"X: ",
            b"GET /",
        )
        pouring = (asyncio.to_thread(pour, port, head, 1 << 30) for head in heads)
        await asyncio.gather(*pouring)
        assert peak_kibibytes(program) - before < 5 * 1024


def pour(port: int, head: bytes, size: int) -> None:
    """Send as much as the server takes."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head)
        piece = b"a" * (1 << 20)
        with suppress(OSError):  # it takes no more
            for _ in range(0, size, len(piece)):
                connection.sendall(piece)
        assert connection.recv(1024).startswith(b"HTTP/1.1 ")


def peak_kibibytes(program: Program) -> int:
    status = Path(f"/proc/{program._process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1])
