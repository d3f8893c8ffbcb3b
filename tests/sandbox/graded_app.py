"""An app that does all that docs/mobile.md asks for, and its harness for the grader."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from tests.support.proofs import DeviceKey

LOGIN, REFRESH, ME, CURRENT = (
    "/v1/sessions",
    "/v1/sessions/refresh",
    "/v1/me",
    "/v1/sessions/current",
)
_PROOF_NEEDED = frozenset({LOGIN, REFRESH})
NO_ANSWER = httpx.Response(0)


@dataclass
class Storage:
    """All that survives the app: the last token response, the key of its refresh, the device."""

    device: DeviceKey
    tokens: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    due_at: float = 0.0


class GoodApp:
    """One app. Subclasses make one mistake each."""

    attempts, pause, timeout = 3, 0.25, 2.0

    def __init__(self, http: httpx.AsyncClient, storage: Storage) -> None:
        self.http = http
        self.storage = storage
        self.single_flight = asyncio.Lock()

    async def sign_in(self, ext_msg: str) -> None:
        key = self.new_key()
        response = await self.send("POST", LOGIN, {"ext_msg": ext_msg}, key=key)
        if response.status_code == HTTPStatus.CREATED:
            self.keep(response)

    async def call_api(self) -> None:
        if self.is_due():
            await self.refresh(self.access_token())
        used = self.access_token()
        response = await self.call(used)
        if self.asks_for_refresh(response):
            await self.refresh(used)
            response = await self.call(self.access_token())
        self.learn(response)

    async def call(self, access_token: str) -> httpx.Response:
        if not access_token:
            return NO_ANSWER
        return await self.send("GET", ME, token=access_token)

    async def refresh(self, used: str | None = None) -> None:
        """Refresh once. `used` is the access token that was refused; a newer one is enough."""
        async with self.single_flight:
            if self.storage.tokens and used in (None, self.access_token()):
                await self.refresh_now()

    async def refresh_now(self) -> None:
        body = {"refresh_token": self.storage.tokens["refresh_token"]}
        response = await self.send("POST", REFRESH, body, key=self.storage.key)
        if response.status_code == HTTPStatus.OK:
            self.keep(response)
        self.learn(response)

    async def log_out(self) -> None:
        token = self.access_token()
        self.forget()
        await self.send("DELETE", CURRENT, token=token)

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str = "", token: str = ""
    ) -> httpx.Response:
        """Send a request until its answer is definite, or give up."""
        attempt, response = 0, NO_ANSWER
        while attempt < self.attempts and self.is_temporary(response):
            if attempt:
                await self.wait(response, attempt)
            attempt += 1
            for _ in range(3):
                response = await self.send_once(method, path, body, key, token)
                if problem_of(response).get("error") != "use_dpop_nonce":
                    break
        return response

    async def send_once(
        self, method: str, path: str, body: Any, key: str, token: str
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Idempotency-Key": key} if key else {}
        if path in _PROOF_NEEDED and (proof := self.proof(path)):
            headers["DPoP"] = proof
        request = self.http.request(method, path, json=body, headers=headers)
        try:
            response = await asyncio.wait_for(request, self.timeout)
        except (ConnectionError, httpx.HTTPError, TimeoutError):
            return NO_ANSWER
        self.storage.device.nonce = self.next_nonce(response)
        return response

    def proof(self, path: str) -> str | None:
        return self.storage.device.proof(path)

    def next_nonce(self, response: httpx.Response) -> str:
        return str(response.headers.get("DPoP-Nonce", self.storage.device.nonce))

    async def wait(self, response: httpx.Response, attempt: int) -> None:
        await asyncio.sleep(float(response.headers.get("Retry-After", self.pause * attempt)))

    def is_temporary(self, response: httpx.Response) -> bool:
        return response.status_code in {0, 409, 429} or response.status_code >= 500

    def asks_for_refresh(self, response: httpx.Response) -> bool:
        return problem_of(response).get("client_action") == "refresh"

    def is_due(self) -> bool:
        return bool(self.storage.tokens) and time.monotonic() >= self.storage.due_at

    def access_token(self) -> str:
        return str(self.storage.tokens.get("access_token", ""))

    def new_key(self) -> str:
        return secrets.token_urlsafe(16)

    def keep(self, response: httpx.Response) -> None:
        self.storage.tokens = response.json()
        self.storage.key = self.new_key()
        self.storage.due_at = time.monotonic() + self.storage.tokens["refresh_after"]

    def learn(self, response: httpx.Response) -> None:
        if problem_of(response).get("session_alive") is False:
            self.forget()

    def forget(self) -> None:
        self.storage.tokens = {}


def problem_of(response: httpx.Response) -> Mapping[str, Any]:
    """The problem document of a response; empty for any other response."""
    is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
    return dict(response.json()) if is_problem else {}


async def be_graded(
    http: httpx.AsyncClient, issuer: str, make: Callable[[httpx.AsyncClient, Storage], GoodApp]
) -> dict[str, Any]:
    """Carry out all instructions of the grader; return its grade."""
    storage = Storage(DeviceKey(issuer))
    app = make(http, storage)
    while True:
        told = (await http.post("/sandbox/api/grade/next", timeout=30)).json()
        match told["do"]:
            case "install":
                storage = Storage(DeviceKey(issuer))
                app = make(http, storage)
            case "restart_app":
                app = make(http, storage)
            case "sign_in":
                await app.sign_in(told["ext_msg"])
            case "call_api":
                await asyncio.gather(*(app.call_api() for _ in range(told.get("at_once", 1))))
            case "refresh" if "kill_after" in told:
                await _killed(asyncio.ensure_future(app.refresh()), told["kill_after"])
            case "refresh":
                await app.refresh()
            case "log_out":
                await app.log_out()
            case "stop":
                return dict(told)


async def _killed(running: asyncio.Future[None], seconds: float) -> None:
    await asyncio.wait([running], timeout=seconds)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
