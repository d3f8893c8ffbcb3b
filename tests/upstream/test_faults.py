"""For every fault of the connection to Authing the app gets its error in time, and can go on.

Each row of the table is one test with its name: `pytest -k drip-` runs the dripping responses.
tests/authing has the complete responses and their errors, and tests/api the form of each error.
"""

import gzip
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, get_args

import pytest

from app.errors import Outcome
from tests.authing.builders import Answer, encoded, http_response, make_user
from tests.support.authority import Authority
from tests.upstream.faulty_authing import GOOD, GRACE, FaultyAuthing, faulty_authing

Strike: TypeAlias = Callable[[FaultyAuthing], Awaitable[None]]
TICKET = "made-up.ticket_1~"
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
MEMORY = Path("/proc/self/statm")
TOLD = {
    **dict.fromkeys(("dns", "connect_refused", "connect_timeout"), "authing_unavailable"),
    "tls": "authing_untrusted",
    "reset": "authing_unavailable",
    "deadline": "authing_timeout",
    **dict.fromkeys(("bad_framing", "bad_encoding", "too_large"), "authing_bad_answer"),
}
"""The code of the response to the app, by the outcome for operators."""
NOTHING_SENT = ("dns", "connect_refused", "connect_timeout", "tls")


@dataclass(frozen=True)
class Fault:
    """`strike` makes the fault, or is the response; the rest is for `faulty_authing`."""

    outcome: str
    strike: Strike | bytes | Answer
    host: str = "127.0.0.1"
    tls: bool = False

    @property
    def timeout(self) -> float:
        """In seconds. By default it is longer than the time to connect, as in production."""
        return 1 if self.outcome == "deadline" else 3


# --- connecting ---


def leads_to(address: str | OSError) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        authing.address = address

    return strike


async def refuses_connections(authing: FaultyAuthing) -> None:
    await authing.server.leave()


async def black_hole(authing: FaultyAuthing) -> None:
    await authing.server.become_a_black_hole()


def shows(certificate: Callable[[Authority], ssl.SSLContext]) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        await authing.server.listen(certificate(authing.authority))

    return strike


def self_signed(authority: Authority) -> ssl.SSLContext:
    return Authority(authority.file.parent / "other").server(self_signed=True)


def says_only(words: bytes) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        await authing.server.say_only(words)

    return strike


# The alert protocol_version, which a server with at most TLS 1.0 sends.
TOO_OLD = b"\x15\x03\x01\x00\x02\x02\x46"


async def says_nothing(authing: FaultyAuthing) -> None:
    await authing.server.listen(None)


async def after_a_good_exchange(authing: FaultyAuthing) -> None:
    await authing.log_in("another.ticket_1~")
    authing.server.response = Answer(b"", "close")


# --- responses ---

HEAD, _, BODY = GOOD.partition(b"\r\n\r\n")
HEAD += b"\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


async def gzip_bomb(authing: FaultyAuthing) -> None:
    """A hundred times ten million zeros, which make a gigabyte."""
    bomb = gzip.compress(bytes(10_000_000))
    headers = {"Content-Encoding": "gzip", "Content-Length": str(100 * len(bomb))}
    authing.server.response = Answer(http_response(headers=headers), flood=bomb)


def with_headers(fields: dict[str, str]) -> bytes:
    return http_response(encoded(make_user()), headers=fields)


FAULTS = {
    "dns-nxdomain": Fault("dns", leads_to(socket.gaierror(socket.EAI_NONAME, "")), "localhost"),
    "dns-servfail": Fault("dns", leads_to(socket.gaierror(socket.EAI_AGAIN, "")), "localhost"),
    "dns-no-answer": Fault("dns", leads_to(""), "localhost"),
    "refused-refused": Fault("connect_refused", refuses_connections),
    "blackhole-v4": Fault("connect_timeout", black_hole),
    "blackhole-v6": Fault("connect_timeout", black_hole, "::1"),
    "tls-expired": Fault("tls", shows(lambda a: a.server(days_left=-1)), tls=True),
    "tls-wrong-name": Fault("tls", shows(lambda a: a.server(address="127.0.0.2")), tls=True),
    "tls-self-signed": Fault("tls", shows(self_signed), tls=True),
    "tls-tls-1.0": Fault("tls", says_only(TOO_OLD), tls=True),
    "tls-none": Fault("tls", says_only(b"HTTP/1.1 400 Bad\r\n\r\n"), tls=True),
    "tls-stalled-handshake": Fault("connect_timeout", says_nothing, tls=True),
    "closed-no-bytes": Fault("reset", Answer(b"", "close")),
    "closed-reused-idle-connection": Fault("reset", after_a_good_exchange),
    "silence-no-header": Fault("deadline", Answer(b"", "hang")),
    "silence-half-a-body": Fault("deadline", Answer(GOOD[:-1], "hang")),
    "drip-drip-header": Fault("deadline", Answer(drip=GOOD)),
    "drip-drip-body": Fault("deadline", Answer(HEAD, drip=BODY)),
    "framing-reset": Fault("bad_framing", Answer(GOOD[:-50], "reset")),
    "framing-length-too-long": Fault("bad_framing", Answer(GOOD[:-50], "close")),
    "framing-chunk-cut": Fault("bad_framing", Answer(CHUNKED + b"ff\r\n{", "close")),
    "size-100-mb-body": Fault(
        "too_large",
        Answer(http_response(headers={"Content-Length": "100000000"}), flood=b" " * 65_536),
    ),
    "size-gzip-bomb": Fault("bad_encoding", gzip_bomb),
    # The parser of aiohttp refuses both with its one error for bad HTTP.
    "size-1-mb-header": Fault("bad_framing", with_headers({"X-Large": "x" * 1_000_000})),
    "size-10000-headers": Fault("bad_framing", with_headers({f"X-{n}": "" for n in range(10_000)})),
    "size-1xx-flood": Fault("deadline", Answer(flood=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)),
}


def pages() -> int:
    return int(MEMORY.read_text().split()[1]) if MEMORY.exists() else 0


def has_ipv6() -> bool:
    try:
        with closing(socket.socket(socket.AF_INET6)) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_fault_gives_its_error_and_the_ticket_works_afterwards(
    fault: Fault, tmp_path: Path
) -> None:
    if fault.host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 on its loopback interface")
    async with faulty_authing(
        tmp_path, host=fault.host, tls=fault.tls, timeout=fault.timeout
    ) as authing:
        if isinstance(fault.strike, bytes | Answer):
            authing.server.response = fault.strike
        else:
            await fault.strike(authing)
        asked, sessions = len(authing.server.peer.requests), await authing.sessions()
        memory = pages()

        response = await authing.log_in(TICKET)

        assert response.json()["code"] == TOLD[fault.outcome]
        assert authing.outcomes()[-1] == fault.outcome
        assert response.elapsed.total_seconds() < authing.timeout + GRACE
        asked += fault.outcome not in NOTHING_SENT  # one request only
        assert len(authing.server.peer.requests) == asked
        assert await authing.sessions() == sessions
        assert pages() - memory < 2560  # 10 MB

        await authing.repair()
        assert (await authing.log_in(TICKET)).status_code == 201
        assert await authing.sessions() == sessions + 1


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_is_explained_for_operators(outcome: str) -> None:
    assert f"`{outcome}`" in PAGE.read_text(encoding="utf-8")
