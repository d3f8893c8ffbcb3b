"""Made-up users, tokens and responses, and a scripted server on a real socket."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jwt
from typing_extensions import override

from app.authing.client import AuthingClient, PoolSecrets
from app.authing.transport import AuthingTransport, Response, Transport
from app.authing.verifier import SignatureCheck, Verifier, shared_secrets

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
POOL = "5e0000000000000000000001"
USER_ID = "5e00000000000000000000aa"
UNIONID = "o-made-up-unionid"
SECRET = "made-up-user-pool-secret-0123456"
TICKET = "made-up.ticket_1~"
FIFTEEN_DAYS = 1_296_000
# Most tests trust an authority that signed nothing: the real list takes 20 ms to load, each time.
SMALL_CA_FILE = Path(__file__).with_name("made-up-ca.pem")


def clock() -> datetime:
    return NOW


def legacy_claims(**changes: Any) -> dict[str, Any]:
    data = {"unionid": UNIONID, "id": USER_ID, "clientId": POOL}
    return {"data": data, "iat": EPOCH - 5, "exp": EPOCH - 5 + FIFTEEN_DAYS, **changes}


def sign_token(
    claims: Mapping[str, Any] | None = None,
    *,
    key: Any = SECRET,
    algorithm: str = "HS256",
    headers: Mapping[str, Any] | None = None,
) -> str:
    payload = json.dumps(legacy_claims() if claims is None else claims).encode()
    return jwt.PyJWS().encode(payload, key, algorithm, dict(headers or {}))


def oauth_profile(**changes: Any) -> str:
    profile = {
        "nickName": "小明",
        "gender": 1,
        "language": "zh_CN",
        "city": "",
        "province": "",
        "country": "",
        "avatarUrl": "https://example.com/wechat.png",
        "phone": "13800138000",
        "openid": "made-up-openid",
        "unionid": UNIONID,
        **changes,
    }
    return json.dumps(profile, ensure_ascii=False)


def make_user(**changes: Any) -> dict[str, Any]:
    """Return a user as in the exchange of 2020, with every field of its documentation."""
    return {
        "_id": USER_ID,
        "emailVerified": False,
        "username": "小明",
        "nickname": "小明",
        "company": "",
        "photo": "https://example.com/photo.png",
        "loginsCount": 3,
        "registerMethod": "oauth:app2wxapp",
        "blocked": False,
        "isDeleted": False,
        "oauth": oauth_profile(),
        "metadata": '""',
        "unionid": UNIONID,
        "openid": "made-up-openid",
        "lastIP": "::ffff:192.0.2.1",
        "lastLogin": "2026-11-22T11:59:55.000Z",
        "signedUp": "2026-01-01T00:00:00.000Z",
        "token": sign_token(),
        "tokenExpiredAt": "2026-12-07T11:59:55.000Z",
        "phone": "138****8000",
        **changes,
    }


def encoded(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


# --- without a connection ---


@dataclass
class Canned(Transport):
    """Returns the same response to every request, or raises the error; None never answers."""

    said: Response | Exception | None
    targets: list[str] = field(default_factory=list)

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        self.targets.append(f"{method} {url}")
        await asyncio.sleep(0)
        if self.said is None:
            await asyncio.Event().wait()
        if not isinstance(self.said, Response):
            raise self.said or AssertionError
        return self.said

    @override
    async def __aexit__(self, *_error: object) -> None:
        """There is nothing to close."""


def canned(document: Any, *, status: int = 200, **headers: str | None) -> Canned:
    """Respond with JSON, or with a body of bytes. A header of None is left out."""
    body = document if isinstance(document, bytes) else encoded(document).encode()
    named = {"content_type": "application/json", **headers}
    fields = {name.replace("_", "-"): text for name, text in named.items() if text is not None}
    return Canned(Response(status, fields, body))


# --- HTTP by hand ---


def http_response(
    body: str | bytes = b"",
    *,
    status: int = 200,
    content_type: str | None = "application/json; charset=utf-8",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    fields = {"Content-Length": str(len(content)), **(headers or {})}
    if content_type is not None:
        fields["Content-Type"] = content_type
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode() + content


def json_response(document: Any, *, status: int = 200, **headers: str) -> bytes:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http_response(encoded(document), status=status, headers=named)


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """The bytes of a response, and what happens to the connection afterwards.

    `hang` keeps it open; `again` sends the bytes a second time without a request. `pause` is in
    seconds, before the body. `drip` follows slowly, byte by byte; `flood` follows without end.
    """

    raw: bytes = b""
    then: Literal["keep", "close", "reset", "hang", "again"] = "keep"
    pause: float = 0
    drip: bytes = b""
    flood: bytes = b""


Says: TypeAlias = Callable[[Request], Answer | bytes]


@dataclass
class Peer:
    """The server, and the requests that it received."""

    says: Says
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    _open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[writer] = asyncio.current_task()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not writer.is_closing():
                request = await _read_request(reader)
                self.requests.append(request)
                said = self.says(request)
                await _play(said if isinstance(said, Answer) else Answer(said), reader, writer)
        writer.close()
        del self._open[writer]

    async def hang_up(self) -> None:
        tasks = [task for task in self._open.values() if task is not None]
        for writer in self._open:
            writer.transport.abort()
        await asyncio.gather(*tasks)


async def _play(
    response: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    head, separator, body = response.raw.partition(b"\r\n\r\n")
    writer.write(head + separator)
    if response.pause:
        await asyncio.sleep(response.pause)
    writer.write(body)
    await writer.drain()
    for byte in response.drip:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)
    while response.flood:
        writer.write(response.flood)
        await writer.drain()
        await asyncio.sleep(0.001)  # or the other end gets no turn
    if response.then == "again":
        await asyncio.sleep(0.01)
        writer.write(response.raw)
    if response.then == "hang":
        await reader.read()
    if response.then == "reset":
        await asyncio.sleep(0.02)  # let the bytes arrive, a reset overtakes them
        writer.transport.abort()
    if response.then in ("close", "hang"):
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    method, target, _version = first.split(" ")
    fields = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


@asynccontextmanager
async def peer(
    says: Says | Answer | bytes, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Peer]:
    """Serve on a free port of the loopback interface. Bytes or an Answer are sent each time."""
    fake = Peer(says if callable(says) else lambda _request: says)
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield fake
    finally:
        server.close()
        await fake.hang_up()
        await asyncio.sleep(0)  # the sockets close in the next round of the loop


# --- the client, wired as in production ---


def verifier(
    check: Callable[[str], Awaitable[Mapping[str, Any]]], max_age: int = 600, **expected: Any
) -> Verifier:
    age = timedelta(seconds=max_age)
    return Verifier(check, user_pool_id=POOL, max_age=age, clock=clock, **expected)


def hs256_verifier(*secrets: str, max_age: int = 600, **expected: Any) -> Verifier:
    check = SignatureCheck(shared_secrets(lambda: secrets or (SECRET,)))
    return verifier(check, max_age, **expected)


@asynccontextmanager
async def authing_over(
    transport: Transport, base_url: str = "http://authing.example", **changes: Any
) -> AsyncIterator[AuthingClient]:
    values: dict[str, Any] = {
        "pool_secrets": PoolSecrets(lambda: [SECRET]),
        "verifier": hs256_verifier(),
    }
    async with transport:
        yield AuthingClient(transport, base_url=base_url, user_pool_id=POOL, **values | changes)


@asynccontextmanager
async def authing(
    base_url: str, *, connections: int = 10, ca_file: Path | None = SMALL_CA_FILE, **changes: Any
) -> AsyncIterator[AuthingClient]:
    async with authing_over(AuthingTransport(ca_file, connections), base_url, **changes) as client:
        yield client
