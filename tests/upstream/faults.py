"""Faults of Authing: all before there is a complete response, and each kind of response.

tests/authing has the responses of a kind.
"""

import gzip
import socket
import ssl
from collections.abc import Callable
from functools import cache

from tests.authing.builders import Answer, encoded, http_response, json_response, make_user
from tests.support.authority import Authority
from tests.upstream.fault import (
    BLOCKED,
    MISCONFIGURED,
    REJECTED,
    TIMEOUT,
    TOKEN_INVALID,
    UNTRUSTED,
    WELCOME,
    Fault,
    Strike,
    Told,
    bad_answer,
    says,
    unavailable,
)
from tests.upstream.fault_server import GOOD
from tests.upstream.faulty_authing import FaultyAuthing

HEAD, _, BODY = GOOD.partition(b"\r\n\r\n")
HEAD += b"\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
PATIENT = 3
"""Seconds of a timeout that is longer than the time to connect, like the default."""

# --- connecting ---


def no_name(error: int) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        authing.names.failure = socket.gaierror(error, "made up")

    return strike


async def name_lookup_hangs(authing: FaultyAuthing) -> None:
    authing.names.hangs = True


async def refuses_connections(authing: FaultyAuthing) -> None:
    await authing.server.leave()


async def no_strike(authing: FaultyAuthing) -> None:
    """The base URL is the fault."""


async def black_hole(authing: FaultyAuthing) -> None:
    await authing.server.become_a_black_hole()


def shows(certificate: Callable[[Authority], ssl.SSLContext]) -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        await authing.server.listen(certificate(authing.authority))

    return strike


def self_signed(authority: Authority) -> ssl.SSLContext:
    folder = authority.file.parent / "other"
    folder.mkdir()
    return Authority(folder).server(self_signed=True)


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


# --- redirects ---


def sends_on(status: int, *, elsewhere: bool, scheme: str = "http") -> Strike:
    async def strike(authing: FaultyAuthing) -> None:
        host = authing.bystander.url.removeprefix("http:") if elsewhere else ""
        target = f"{scheme}:{host}/elsewhere" if elsewhere else "/oauth"
        authing.server.response = http_response("{}", status=status, headers={"Location": target})

    return strike


# --- oversized responses ---


@cache
def bomb() -> bytes:
    """Ten million zeros; a hundred of these make a gigabyte."""
    return gzip.compress(bytes(10_000_000))


async def drops_the_bomb(authing: FaultyAuthing) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Length": str(100 * len(bomb()))}
    authing.server.response = Answer(http_response(headers=headers), flood=bomb())


def headers(fields: dict[str, str]) -> Strike:
    return says(http_response(encoded(make_user()), headers=fields))


def refusal(code: int, status: int = 200) -> bytes:
    return json_response({"code": code, "message": "made up", "data": None}, status=status)


def page(status: int) -> bytes:
    return http_response("<!doctype html>", status=status, content_type="text/html")


RESPONSES: dict[str, tuple[bytes, Told]] = {
    "json-cut-off": (http_response(encoded(make_user())[:-9]), bad_answer("bad_json")),
    "json-number-twice": (http_response('{"code": 200, "code": 200}'), bad_answer("bad_json")),
    "http5xx-page": (page(503), unavailable("http_5xx")),
    "http5xx-json": (refusal(500, 500), unavailable("http_5xx")),
    "throttled-3-seconds": (
        json_response({"code": 429}, status=429, Retry_After="3"),
        unavailable("rate_limited", 3),
    ),
    "label-captive-portal": (page(200), bad_answer("bad_content_type")),
    "envelope-object": (json_response({"code": 200, "data": make_user()}), WELCOME),
    "envelope-text": (json_response({"code": "200", "data": encoded(make_user())}), WELCOME),
    "shape-list": (json_response({"code": 200, "data": [make_user()]}), bad_answer("bad_shape")),
    "shape-oauth-not-json": (json_response(make_user(oauth="{nickName:")), WELCOME),
    "rejected-in-http-200": (refusal(2020), REJECTED),
    "rejected-in-http-401": (refusal(401, 401), REJECTED),
    "configuration-http-403": (page(403), MISCONFIGURED),
    "configuration-code": (refusal(1001), MISCONFIGURED),
    "blocked-flag": (json_response(make_user(blocked="true")), BLOCKED),
    "token-forged": (json_response(make_user(token="e30.e30.e30")), TOKEN_INVALID),
}

FAULTS = (
    Fault("dns-nxdomain", no_name(socket.EAI_NONAME), unavailable("dns"), 0, "localhost"),
    Fault("dns-servfail", no_name(socket.EAI_AGAIN), unavailable("dns"), 0, "localhost"),
    Fault(
        "dns-no-answer",
        name_lookup_hangs,
        unavailable("dns"),
        asked=0,
        host="localhost",
        timeout=PATIENT,
    ),
    Fault("refused-refused", refuses_connections, unavailable("connect_refused"), 0),
    Fault(
        "refused-unreachable",
        no_strike,
        unavailable("connect_refused"),
        asked=0,
        base_url="https://224.0.0.1:PORT",  # multicast: the kernel has no TCP route
        mends=False,
    ),
    Fault("blackhole-v4", black_hole, unavailable("connect_timeout"), 0, timeout=PATIENT),
    Fault("blackhole-v6", black_hole, unavailable("connect_timeout"), 0, "::1", timeout=PATIENT),
    Fault("tls-expired", shows(lambda a: a.server(days_left=-1)), UNTRUSTED, 0, tls=True),
    Fault("tls-wrong-name", shows(lambda a: a.server(address="127.0.0.2")), UNTRUSTED, 0, tls=True),
    Fault("tls-self-signed", shows(self_signed), UNTRUSTED, 0, tls=True),
    Fault("tls-tls-1.0", says_only(TOO_OLD), UNTRUSTED, 0, tls=True),
    Fault("tls-none", says_only(b"HTTP/1.1 400 Bad\r\n\r\n"), UNTRUSTED, 0, tls=True),
    Fault(
        "tls-stalled-handshake",
        says_nothing,
        unavailable("connect_timeout"),
        asked=0,
        tls=True,
        timeout=PATIENT,
    ),
    Fault("closed-no-bytes", says(Answer(b"", "close")), unavailable("reset")),
    Fault("closed-reused-idle-connection", after_a_good_exchange, unavailable("reset")),
    Fault("silence-no-header", says(Answer(b"", "hang")), TIMEOUT),
    Fault("drip-drip-header", says(Answer(drip=GOOD)), TIMEOUT),
    Fault("drip-drip-body", says(Answer(HEAD, drip=BODY)), TIMEOUT),
    Fault("framing-reset", says(Answer(GOOD[:-50], "reset")), bad_answer("bad_framing")),
    Fault("framing-length-too-long", says(Answer(GOOD[:-50], "close")), bad_answer("bad_framing")),
    Fault(
        "framing-chunk-cut", says(Answer(CHUNKED + b"ff\r\n{", "close")), bad_answer("bad_framing")
    ),
    Fault("redirect-302-to-http", sends_on(302, elsewhere=True), bad_answer("redirect")),
    Fault(
        "redirect-307-to-https-elsewhere",
        sends_on(307, elsewhere=True, scheme="https"),
        bad_answer("redirect"),
    ),
    Fault("redirect-307-to-itself", sends_on(307, elsewhere=False), bad_answer("redirect")),
    Fault(
        "size-100-mb-body",
        says(Answer(http_response(headers={"Content-Length": "100000000"}), flood=b" " * 65_536)),
        bad_answer("too_large"),
    ),
    Fault("size-gzip-bomb", drops_the_bomb, bad_answer("bad_encoding")),
    # The parser of aiohttp refuses both with its one error for bad HTTP.
    Fault("size-1-mb-header", headers({"X-Large": "x" * 1_000_000}), bad_answer("bad_framing")),
    Fault(
        "size-10000-headers",
        headers({f"X-{number}": "x" for number in range(10_000)}),
        bad_answer("bad_framing"),
    ),
    Fault("size-1xx-flood", says(Answer(flood=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100)), TIMEOUT),
    *(Fault(name, says(response), told) for name, (response, told) in RESPONSES.items()),
)
