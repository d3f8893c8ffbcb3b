"""T7.5: what is too long is refused while it comes, and never held."""

import asyncio
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.server.conftest import House, one_answer
from tests.server.examples import CHUNKED, EMPTY, GET, POST, post
from tests.support.processes import ROOT, Program, machine

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOST = b"Host: api.test\r\n"
END = b"Connection: close\r\n\r\n"
CHUNK = b"400\r\n" + b" " * 1024 + b"\r\n"


def with_target(size: int) -> bytes:
    return b"GET " + b"/".ljust(size, b"a") + b" HTTP/1.1\r\n" + HOST + END


def with_header(size: int) -> bytes:
    rest = HOST + END[:-2]
    return (
        b"GET / HTTP/1.1\r\n" + b"X: ".ljust(size - len(rest) - 2, b"a") + b"\r\n" + rest + b"\r\n"
    )


def with_fields(number: int) -> bytes:
    return GET + b"X:\r\n" * (number - 2) + END


def with_body(size: int) -> bytes:
    return POST + b"Content-Length: %d\r\n" % size + END + b" " * size


def with_chunks(size: int) -> bytes:
    rest = b"%x\r\n" % (size % 1024) + b" " * (size % 1024) + b"\r\n" if size % 1024 else b""
    return POST + b"Transfer-Encoding: chunked\r\n" + END + CHUNK * (size // 1024) + rest + EMPTY


@pytest.mark.parametrize(
    ("make", "limit", "status", "code"),
    [
        pytest.param(with_target, 2048, 414, "uri_too_long", id="T7.5-target"),
        pytest.param(with_header, 16384, 431, "header_too_large", id="T7.5-header"),
        pytest.param(with_fields, 100, 431, "header_too_large", id="T7.5-fields"),
        pytest.param(with_body, 8192, 413, "body_too_large", id="T7.5-body"),
        pytest.param(with_chunks, 8192, 413, "body_too_large", id="T7.5-chunked-body"),
    ],
)
async def test_the_limit_passes_and_one_more_does_not(
    house: House, make: Callable[[int], bytes], limit: int, status: int, code: str
) -> None:
    (fits,) = await house.say(make(limit))
    (does_not,) = await house.say(make(limit + 1))
    assert fits.status == 200
    assert (does_not.status, does_not.echo["code"]) == (status, code)
    assert len(house.reached) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"GET /" + b"a" * 4096, 414, id="T7.5-target"),
        pytest.param(GET + b"X: " + b"a" * 20_000, 431, id="T7.5-header"),
        pytest.param(post(b"Content-Length: 1073741824"), 413, id="T7.5-length"),
        pytest.param(post(b"Content-Length: " + b"9" * 5000), 413, id="T7.5-length-of-5000-digits"),
        pytest.param(CHUNKED + CHUNK * 9, 413, id="T7.5-chunks"),
        pytest.param(CHUNKED + b"ffffffff\r\n", 413, id="T7.5-chunk"),
        pytest.param(
            post(b"Expect: 100-continue", b"Content-Length: 8193"), 413, id="T7.5-expectation"
        ),
    ],
)
async def test_its_end_is_not_waited_for(house: House, raw: bytes, status: int) -> None:
    async with house.connected() as (reader, writer):
        writer.write(raw)
        answer = await one_answer(reader)
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert house.reached == []


async def test_who_goes_on_sending_can_still_read_why_it_was_refused(house: House) -> None:
    async with house.connected() as (reader, writer):
        writer.write(post(b"Content-Length: 20000000"))
        for _ in range(20):
            writer.write(b" " * 1_000_000)
            await writer.drain()
        assert (await one_answer(reader)).status == 413
        assert await reader.read() == b""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="/proc, which tells how much memory a process has, is only on Linux",
)
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(CHUNKED + b"40000000\r\n", id="T7.5-1-GB-in-a-chunk"),
        pytest.param(CHUNKED + b"1;", id="T7.5-1-GB-of-chunk-extension"),
        pytest.param(post(b"Content-Length: 1073741824"), id="T7.5-1-GB-of-body"),
        pytest.param(GET + b"X: ", id="T7.5-1-GB-of-header"),
        pytest.param(b"GET /", id="T7.5-1-GB-of-target"),
    ],
)
async def test_a_gigabyte_that_is_sent_is_not_held(tmp_path: Path, head: bytes) -> None:
    script = str(ROOT / "tests" / "e2e" / "slow_server.py")
    times = ["--drain-delay=0", "--shutdown-timeout=5"]
    program = Program(tmp_path, script, *times, environment=machine())
    try:
        port = int(program.line_with("port").split()[1])
        await asyncio.to_thread(pour, port, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", 0)
        before = peak_kibibytes(program)
        await asyncio.to_thread(pour, port, head, 1 << 30)
        assert peak_kibibytes(program) - before < 5 * 1024
        program.send(signal.SIGTERM)
        assert program.wait() == 0
    finally:
        program.close()


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
