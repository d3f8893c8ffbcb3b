"""A phone: requests that may be lost, and a correct app.

`Line` sends each request on a connection of its own, so that each can be lost by itself. `App` does
what the service asks of apps: it keeps each response, retries with the same credential until it is
told something definite, and drops its tokens only when it is told that the session is over.
"""

import asyncio
import json
import random
import secrets
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from tests.support.proofs import DeviceKey

LOGIN = "/v1/sessions"
REFRESH = "/v1/sessions/refresh"
ME = "/v1/me"
RELAUNCHES = "relaunches before a first session"
_CONNECTIONS = 100
# Not in all: a request may have to wait long for its turn.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_NOT_DEFINITE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})
_MOST_ATTEMPTS = 200
_MOST_PROOFS = 6


class Unexpected(Exception):
    """The service said what no correct app can make sense of. Any method of App may raise it."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)

    @property
    def code(self) -> str:
        """The word for what went wrong; empty if nothing did."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""

    def ending(self) -> str | None:
        """How the session ended, if this says that it did; else None."""
        over = self.code and self.body.get("session_alive") is False
        return str(self.body.get("reason", self.code)) if over else None


@dataclass(frozen=True, slots=True)
class Line:
    """Sends requests to the port that `port` gives at that moment; None: nothing serves there.

    `seen`, if it is a list, gets every response and the seconds that it took.
    """

    http: aiohttp.ClientSession
    port: Callable[[], int | None]
    scheme: str = "http"
    seen: list[tuple[Answer | None, float]] | None = None

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer | None:
        """Send one request. None: there was no response, or not a whole one."""
        started = time.monotonic()
        response = await self._call(method, path, body, headers)
        if self.seen is not None:
            self.seen.append((response, time.monotonic() - started))
        return response

    async def _call(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> Answer | None:
        port = self.port()
        if port is None:
            return None
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{self.scheme}://127.0.0.1:{port}{path}"
        try:
            async with self.http.request(method, url, json=body, headers=named) as response:
                text = await response.read()
                is_json = response.content_type.endswith("json")  # a gateway's own page is none
                content = json.loads(text) if text and is_json else None
                return Answer(response.status, response.headers, content)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


@asynccontextmanager
async def telephony(
    connections: int = _CONNECTIONS, tls: ssl.SSLContext | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open what lines need. At most this many requests are under way at once; others wait."""
    connector = aiohttp.TCPConnector(limit=connections, force_close=True, ssl=tls or True)
    async with aiohttp.ClientSession(
        connector=connector, timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield session


async def new_ticket(authing: Line, persona: str) -> str:
    """Play the mini program, in which this person agrees to sign in."""
    response = await authing.call("POST", "/sandbox/tickets", {"persona": persona})
    if response is None:
        raise Unexpected("no ticket")
    return str(response.body["ticket"])


@dataclass(slots=True)
class App:
    """One app on one phone. `tally` counts what happened, over all apps that share it.

    `new_ticket` plays the mini program. `received` are all refresh tokens that the app ever got,
    oldest first, and `keys` the idempotency key of each.
    `ended` is the word for the end of its session, once it has learnt that.
    `confused` is the last response that it could not make sense of, inside `noting`.
    With a `device`, it sends a new proof of that key with each attempt to log in or refresh.
    """

    line: Line
    new_ticket: Callable[[], Awaitable[str]]
    choices: random.Random
    tally: Counter[str]
    ticket: str = ""
    key: str = ""
    session_id: str = ""
    subject: str = ""
    access_token: str = ""
    received: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict, repr=False)
    ended: str | None = None
    confused: str = ""
    device: DeviceKey | None = None

    @contextmanager
    def noting(self) -> Iterator[None]:
        try:
            yield
        except Unexpected as error:
            self.confused = str(error)

    async def sign_in(self) -> None:
        """Get a session; with another ticket, when the service asks for that."""
        response = await self._sign_in_once()
        while response.code == "ticket_rejected":
            self.tally[RELAUNCHES] += 1
            response = await self._sign_in_once()
        self.adopt(response)

    def adopt(self, response: Answer) -> None:
        if response.status != HTTPStatus.CREATED:
            raise Unexpected(f"{response.status} {response.code}")
        self.session_id = response.body["session"]["id"]
        self.subject = response.body["user"]["sub"]
        self._keep(response)

    async def present_ticket(self) -> Answer:
        """Sign in with the ticket and the key of the last time; until there is a verdict."""
        response = await self.ask("POST", LOGIN, {"ticket": self.ticket}, Idempotency_Key=self.key)
        self.tally["logins replayed"] += "Idempotency-Replayed" in response.headers
        return response

    async def refresh_once(self) -> Answer | None:
        """Send the newest refresh token with its key, and not again if there is no response."""
        newest = self.received[-1]
        body, key = {"refresh_token": newest}, self.keys[newest]
        return await self.line.call("POST", REFRESH, body, Idempotency_Key=key)

    async def present(self, refresh_token: str) -> Answer:
        """Refresh with this token, until the response is definite; without keeping the response.

        Sends the token's idempotency key, if the token was received and not copied.
        """
        key = self.keys.get(refresh_token)
        headers = {} if key is None else {"Idempotency_Key": key}
        response = await self.ask("POST", REFRESH, {"refresh_token": refresh_token}, **headers)
        if response.status == HTTPStatus.OK:
            self.tally[f"refreshes {response.body['outcome']}"] += 1
        return response

    async def refresh(self) -> None:
        self.take(await self.present(self.received[-1]))

    def take(self, response: Answer) -> None:
        if response.status == HTTPStatus.OK and response.body["session"]["id"] == self.session_id:
            self._keep(response)
        else:
            self._learn_the_end(response)

    async def look(self) -> None:
        """Show the user, which uses the newest access token."""
        response = await self.ask("GET", ME, Authorization=f"Bearer {self.access_token}")
        if response.status == HTTPStatus.OK and response.body["sub"] == self.subject:
            self.tally["looks"] += 1
        else:
            self._learn_the_end(response)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send the same request until the response is definite: whole, and not "later".

        A refused proof is replaced by a new one, some times.
        """
        pause, proofs = _FIRST_PAUSE, _MOST_PROOFS
        for _ in range(_MOST_ATTEMPTS):
            self.tally["requests"] += 1
            response = await self.line.call(method, path, body, **headers, **self._proof(path))
            if self.device is not None and response is not None:
                self.device.nonce = response.headers.get("DPoP-Nonce", self.device.nonce)
                proofs -= response.code == "proof_invalid"
                if response.code == "proof_invalid" and proofs > 0:
                    continue
            if response is not None and not _later(response.status):
                self.tally["responses"] += 1
                return response
            asked_for = response.body.get("retry_after", 0) if response and response.body else 0
            await asyncio.sleep(asked_for + pause * self.choices.random())
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise Unexpected("no verdict")

    def _proof(self, path: str) -> dict[str, str]:
        needed = self.device is not None and path in {LOGIN, REFRESH}
        return {"DPoP": self.device.proof(path)} if self.device and needed else {}

    async def _sign_in_once(self) -> Answer:
        self.ticket, self.key = await self.new_ticket(), secrets.token_urlsafe(24)
        return await self.present_ticket()

    def _keep(self, response: Answer) -> None:
        self.access_token = response.body["access_token"]
        if response.body["refresh_token"] not in self.received:
            self.received.append(response.body["refresh_token"])
            self.keys[response.body["refresh_token"]] = secrets.token_urlsafe(24)

    def _learn_the_end(self, response: Answer) -> None:
        self.ended = response.ending()
        if self.ended is None:
            raise Unexpected(f"{response.status} {response.code}")


def _later(status: int) -> bool:
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _NOT_DEFINITE
