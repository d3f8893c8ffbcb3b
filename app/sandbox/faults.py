"""The fault desk: faults of Authing by plain names, and faults of the answers of our service.

`FaultyAnswers` is ASGI middleware around the whole service. It spoils answers of `/v1/` only. So
`/sandbox`, the health routes and the routes of the backend work while a fault is set.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.sandbox.authing import drop
from app.sandbox.pages import ControlRoute, only
from app.sandbox.state import BadInput, Fault, SandboxState

AUTHING_FAULTS: Mapping[str, str] = {
    "slow": "slow",
    "dropped_after_accept": "accept_then_drop",
    "5xx": "http_503",
    "rate_limited": "rate_limited",
    "html": "html",
    "truncated": "truncated",
    "wrong_signature": "bad_token",
    "clock_ahead": "clock_ahead",
}
"""The names of the desk and the kinds of `Fault`."""
PROBLEMS: Mapping[str, str] = {"503": "store_unavailable", "429": "rate_limited"}
"""The answers that replace ours, by the code of their problem document."""
ANSWER_FAULTS = ("dropped", "doubled", "delayed", *PROBLEMS)

Problem: TypeAlias = Callable[..., ASGIApp]
"""Makes the application that refuses every request: `(code, retry_after=1, nonce="")`."""


@dataclass(slots=True)
class Answer:
    """A whole response, as ASGI messages without the end of the body."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def collect(self, message: Message) -> None:
        """Be the `send` of an application."""
        self.status = message.get("status", self.status)
        self.headers = message.get("headers", self.headers)
        self.body += message.get("body", b"")

    async def deliver(self, send: Send) -> None:
        """Send it to the client."""
        head = {"status": self.status, "headers": self.headers}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, which can be performed any number of times."""

    scope: Scope
    body: bytes

    async def perform(self, app: ASGIApp) -> Answer:
        """Let the application answer it."""
        answer = Answer()
        scope = {**self.scope, "state": dict(self.scope.get("state", {}))}
        await app(scope, self._receive, answer.collect)
        return answer

    async def _receive(self) -> Message:
        return {"type": "http.request", "body": self.body, "more_body": False}


Spoil: TypeAlias = Callable[[Call, ASGIApp], Awaitable[Answer | None]]
"""Answers a call to the service with a fault; None closes the connection without a byte."""


async def intact(call: Call, service: ASGIApp) -> Answer | None:
    """Answer without a fault."""
    return await call.perform(service)


async def dropped(call: Call, service: ASGIApp) -> Answer | None:
    """Perform the request and lose the answer."""
    await call.perform(service)
    return None


async def doubled(call: Call, service: ASGIApp) -> Answer | None:
    """Perform the request twice and send the second answer, as after a retry by a proxy."""
    await call.perform(service)
    return await call.perform(service)


def delayed(seconds: float) -> Spoil:
    """Perform the request at once and send the answer later."""

    async def spoil(call: Call, service: ASGIApp) -> Answer | None:
        answer = await call.perform(service)
        await asyncio.sleep(seconds)
        return answer

    return spoil


def replaced(app: ASGIApp) -> Spoil:
    """Let this application answer; the service does not see the request."""

    async def spoil(call: Call, _service: ASGIApp) -> Answer | None:
        return await call.perform(app)

    return spoil


class FaultyAnswers:
    """Middleware that answers each request below `/v1/` by the function that `choose` returns."""

    def __init__(self, service: ASGIApp, choose: Callable[[Call], Spoil]) -> None:
        self._service = service
        self._choose = choose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. A preflight (Fetch standard) is answered without a fault."""
        if not scope.get("path", "").startswith("/v1/") or scope["method"] == "OPTIONS":
            await self._service(scope, receive, send)
            return
        call = Call(scope, await Request(scope, receive).body())
        answer = await self._choose(call)(call, self._service)
        await (drop(scope, receive, send) if answer is None else answer.deliver(send))


class FaultDesk:
    """The fault of Authing and the fault of our answers."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._answers: str | None = None
        self._left: int | None = None
        self._seconds: float = 0

    def faults(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Return both faults and the names of all."""
        kinds = {kind: name for name, kind in AUTHING_FAULTS.items()}
        return {
            "authing": kinds.get(self._state.fault.kind),
            "answers": self._answers,
            "choices": {"authing": list(AUTHING_FAULTS), "answers": list(ANSWER_FAULTS)},
        }

    def set_faults(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set both faults; an absent one ends: `{authing?, answers?, times?, seconds?}`."""
        only(body, ("authing", "answers", "times", "seconds"))
        for member, names in self.faults(body)["choices"].items():
            if body.get(member) not in (None, *names):
                raise BadInput(f"{member}: null or one of {', '.join(names)}")
        how = {name: body[name] for name in ("times", "seconds") if name in body}
        self._state.fault = fault = Fault(
            AUTHING_FAULTS.get(body.get("authing") or "", "none"), **how
        )
        self._answers, self._left, self._seconds = body.get("answers"), fault.times, fault.seconds
        return self.faults(body)

    def around(self, service: ASGIApp, problem: Problem) -> ASGIApp:
        """Return the service with the fault of its answers."""
        return FaultyAnswers(service, lambda _call: self._next(problem))

    def _next(self, problem: Problem) -> Spoil:
        name = self._answers or ""
        if name and self._left is not None:
            self._left -= 1
            self._answers = name if self._left else None
        if name in PROBLEMS:
            return replaced(problem(PROBLEMS[name], math.ceil(self._seconds)))
        spoils = {"dropped": dropped, "doubled": doubled, "delayed": delayed(self._seconds)}
        return spoils.get(name, intact)


def fault_routes(desk: FaultDesk) -> list[Route]:
    """Return the routes of the fault desk."""
    path, example = "/sandbox/api/faults", {"answers": "dropped", "times": 1}
    return [
        ControlRoute("GET", path, desk.faults),
        ControlRoute("PUT", path, desk.set_faults, example),
    ]
