"""The fault desk: faults of Authing by plain names, and faults of the answers of our service.

`FaultyAnswers` is ASGI middleware around the whole service. It spoils answers of `/v1/` only. So
`/sandbox`, the health routes and the routes of the backend work while a fault is set.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
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


@dataclass(frozen=True, slots=True)
class Call:
    """One request, which can be performed any number of times."""

    scope: Scope
    body: bytes

    async def perform(self, app: ASGIApp) -> Response:
        """Let the application answer it; return the whole response."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await app({**self.scope, "state": dict(self.scope.get("state", {}))}, receive, send)
        body = b"".join(message.get("body", b"") for message in messages)
        response = Response(body, messages[0]["status"])
        response.raw_headers = messages[0]["headers"]
        return response


@dataclass(frozen=True, slots=True)
class Spoil:
    """How a call is answered: `app`, or else the service, performs it `times` times in a row.

    The last response is sent after `seconds`. With `lost` the connection is closed instead.
    """

    times: int = 1
    seconds: float = 0
    lost: bool = False
    app: ASGIApp | None = None

    async def answer(self, call: Call, service: ASGIApp) -> Response | None:
        """Perform the call and return the response; None if it is lost."""
        response = None
        for _ in range(self.times):
            response = await call.perform(self.app or service)
        await asyncio.sleep(self.seconds)
        return None if self.lost else response


class FaultyAnswers:
    """Middleware: `answer` answers requests below `/v1/`; None closes the connection."""

    def __init__(
        self, service: ASGIApp, answer: Callable[[Call], Awaitable[Response | None]]
    ) -> None:
        self._service = service
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request. A preflight (Fetch standard) is answered without a fault."""
        if not scope.get("path", "").startswith("/v1/") or scope["method"] == "OPTIONS":
            await self._service(scope, receive, send)
            return
        response = await self._answer(Call(scope, await Request(scope, receive).body()))
        await (response or drop)(scope, receive, send)


class FaultDesk:
    """The fault of Authing and the fault of our answers."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state
        self._answers: str | None = None
        self._left: int | None = None
        self._seconds: float = 0

    def faults(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the two faults that are set, and the names of all faults."""
        kinds = {kind: name for name, kind in AUTHING_FAULTS.items()}
        return {
            "authing": kinds.get(self._state.fault.kind),
            "answers": self._answers,
            "choices": {"authing": list(AUTHING_FAULTS), "answers": list(ANSWER_FAULTS)},
        }

    def set_faults(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set both faults, or end the absent one: `{authing?, answers?, times?, seconds?}`."""
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
        return FaultyAnswers(service, lambda call: self._next(problem).answer(call, service))

    def _next(self, problem: Problem) -> Spoil:
        name, seconds = self._answers or "", self._seconds
        if name and self._left is not None:
            self._left -= 1
            self._answers = name if self._left else None
        if name in PROBLEMS:
            return Spoil(app=problem(PROBLEMS[name], math.ceil(seconds)))
        spoils = {"dropped": Spoil(lost=True), "doubled": Spoil(times=2)}
        return spoils.get(name, Spoil(seconds=seconds if name == "delayed" else 0))


def fault_routes(desk: FaultDesk) -> list[Route]:
    """Return the routes of the fault desk."""
    path, example = "/sandbox/api/faults", {"answers": "dropped", "times": 1}
    return [
        ControlRoute("GET", path, desk.faults),
        ControlRoute("PUT", path, desk.set_faults, example),
    ]
