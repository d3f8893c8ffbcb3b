"""U1 to U8, U16, U17: what goes wrong before there is an answer to read."""

import gzip
import socket
import ssl
from collections.abc import Callable
from functools import cache

from tests.authing.builders import Answer, encoded, http_answer, make_user
from tests.support.authority import Authority
from tests.upstream.fault import (
    TIMEOUT,
    UNTRUSTED,
    Fault,
    Strike,
    bad_answer,
    says,
    unavailable,
)
from tests.upstream.fault_server import GOOD
from tests.upstream.stage import Stage

HEAD, _, BODY = GOOD.partition(b"\r\n\r\n")
HEAD += b"\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENT = 3
"""A deadline, in seconds, that lets an attempt to connect run out first, as the default does."""

# --- the way there ---


def no_name(error: int) -> Strike:
    async def strike(stage: Stage) -> None:
        stage.names.failure = socket.gaierror(error, "made up")

    return strike


async def no_answer_about_the_name(stage: Stage) -> None:
    stage.names.hangs = True


async def nobody_listens(stage: Stage) -> None:
    await stage.authing.leave()


async def nothing_at_all(stage: Stage) -> None:
    """The settings are the fault."""


async def black_hole(stage: Stage) -> None:
    await stage.authing.be_a_black_hole()


def shows(certificate: Callable[[Authority], ssl.SSLContext]) -> Strike:
    async def strike(stage: Stage) -> None:
        await stage.authing.listen(certificate(stage.authority))

    return strike


def of_nobody(authority: Authority) -> ssl.SSLContext:
    folder = authority.file.parent / "nobody"
    folder.mkdir()
    return Authority(folder).server(self_signed=True)


async def only_older_tls(stage: Stage) -> None:
    # What a server that ends at TLS 1.0 says to a newer hello: the alert protocol_version.
    await stage.authing.say_only(b"\x15\x03\x01\x00\x02\x02\x46")


async def says_nothing(stage: Stage) -> None:
    await stage.authing.listen(None)


async def after_a_good_exchange(stage: Stage) -> None:
    await stage.log_in("somebody-else's.ticket_1~")
    stage.authing.answer = Answer(b"", "close")


# --- where it sends us ---


def sends_on(status: int, *, elsewhere: bool, scheme: str = "http") -> Strike:
    async def strike(stage: Stage) -> None:
        host = stage.bystander.url.removeprefix("http:") if elsewhere else ""
        target = f"{scheme}:{host}/elsewhere" if elsewhere else "/oauth"
        stage.authing.answer = http_answer("{}", status=status, headers={"Location": target})

    return strike


# --- answers without measure ---


@cache
def bomb() -> bytes:
    """Ten million zeros, as a hundred of which make a gigabyte."""
    return gzip.compress(bytes(10_000_000))


async def drops_the_bomb(stage: Stage) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Length": str(100 * len(bomb()))}
    stage.authing.answer = Answer(http_answer(headers=headers), flood=bomb())


def headers(fields: dict[str, str]) -> Strike:
    return says(http_answer(encoded(make_user()), headers=fields))


WIRE_FAULTS = (
    Fault("U1-nxdomain", no_name(socket.EAI_NONAME), unavailable("dns"), 0, "localhost"),
    Fault("U1-servfail", no_name(socket.EAI_AGAIN), unavailable("dns"), 0, "localhost"),
    Fault(
        "U1-no-answer",
        no_answer_about_the_name,
        unavailable("dns"),
        asked=0,
        host="localhost",
        deadline=PATIENT,
    ),
    Fault("U2-refused", nobody_listens, unavailable("connect_refused"), 0),
    Fault(
        "U2-unreachable",
        nothing_at_all,
        unavailable("connect_refused"),
        asked=0,
        base_url="https://224.0.0.1:PORT",  # multicast: the kernel knows no way for TCP
        mends=False,
    ),
    Fault("U3-v4", black_hole, unavailable("connect_timeout"), 0, deadline=PATIENT),
    Fault("U3-v6", black_hole, unavailable("connect_timeout"), 0, "::1", deadline=PATIENT),
    Fault("U4-expired", shows(lambda a: a.server(days_left=-1)), UNTRUSTED, 0, tls=True),
    Fault("U4-wrong-name", shows(lambda a: a.server(address="127.0.0.2")), UNTRUSTED, 0, tls=True),
    Fault("U4-self-signed", shows(of_nobody), UNTRUSTED, 0, tls=True),
    Fault("U4-tls-1.0", only_older_tls, UNTRUSTED, 0, tls=True),
    Fault(
        "U4-stalled-handshake",
        says_nothing,
        unavailable("connect_timeout"),
        asked=0,
        tls=True,
        deadline=PATIENT,
    ),
    Fault("U5-no-bytes", says(Answer(b"", "close")), unavailable("reset")),
    Fault("U5-reused-idle-connection", after_a_good_exchange, unavailable("reset")),
    Fault("U6-no-header", says(Answer(b"", "hang")), TIMEOUT),
    Fault("U7-drip-header", says(Answer(drip=GOOD)), TIMEOUT),
    Fault("U7-drip-body", says(Answer(HEAD, drip=BODY)), TIMEOUT),
    Fault("U8-reset", says(Answer(GOOD[:-50], "reset")), bad_answer("bad_framing")),
    Fault("U8-length-too-long", says(Answer(GOOD[:-50], "close")), bad_answer("bad_framing")),
    Fault("U8-chunk-cut", says(Answer(CHUNKED + b"ff\r\n{", "close")), bad_answer("bad_framing")),
    *(
        Fault(f"U16-{status}-to-http", sends_on(status, elsewhere=True), bad_answer("redirect"))
        for status in (301, 302, 303, 307, 308)
    ),
    Fault(
        "U16-307-to-https-elsewhere",
        sends_on(307, elsewhere=True, scheme="https"),
        bad_answer("redirect"),
    ),
    Fault("U16-302-to-itself", sends_on(302, elsewhere=False), bad_answer("redirect")),
    Fault("U16-307-to-itself", sends_on(307, elsewhere=False), bad_answer("redirect")),
    Fault(
        "U17-100-mb-body",
        says(Answer(http_answer(headers={"Content-Length": "100000000"}), flood=b" " * 65_536)),
        bad_answer("too_large"),
    ),
    Fault("U17-gzip-bomb", drops_the_bomb, bad_answer("bad_encoding")),
    # The parser of aiohttp refuses both with the one error it has for whatever is not HTTP.
    Fault("U17-1-mb-header", headers({"X-Large": "x" * 1_000_000}), bad_answer("bad_framing")),
    Fault(
        "U17-10000-headers",
        headers({f"X-{number}": "x" for number in range(10_000)}),
        bad_answer("bad_framing"),
    ),
    Fault("U17-1xx-flood", says(Answer(flood=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)), TIMEOUT),
)
