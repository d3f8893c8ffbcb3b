"""How a fault spoils the answer to a call, of the fake Authing as of the service itself.

In one process there is no connection: a lost answer raises ConnectionResetError out of the
application, and a truncated one ends early.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override

from app.sandbox.state import PROBLEMS, SandboxState

Problem: TypeAlias = Callable[..., ASGIApp]
"""Makes the application that refuses every request: `(code, retry_after=1, nonce="")`."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, which can be performed any number of times."""

    request: Request
    body: bytes

    async def perform(self, app: ASGIApp) -> Response:
        """Let the application answer it; return the whole response."""
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        scope = self.request.scope
        await app({**scope, "state": dict(scope.get("state", {}))}, receive, send)
        body = b"".join(message.get("body", b"") for message in messages)
        response = Response(body, messages[0]["status"])
        response.raw_headers = messages[0]["headers"]
        return response


Answer: TypeAlias = Callable[[Call], Awaitable[Response | None]]
"""Answers a call; None closes the connection."""


@dataclass(frozen=True, slots=True)
class Spoil:
    """How a call is answered: `times` times in a row, by `instead` or else by the service.

    `before` and `after` are pauses in seconds. Then the last response is sent: whole, half of it,
    or not at all if it is `lost`.
    """

    before: float = 0
    times: int = 1
    instead: ASGIApp | None = None
    after: float = 0
    half: bool = False
    lost: bool = False

    async def answer(self, call: Call, service: ASGIApp) -> Response | None:
        """Perform the call and return the response; None if it is lost."""
        response = None
        await asyncio.sleep(self.before)
        if self.before and await call.request.is_disconnected():
            return None
        for _ in range(self.times):
            response = await call.perform(self.instead or service)
        await asyncio.sleep(self.after)
        if response and self.half:
            return Truncated(response)
        return None if self.lost else response


ANSWER_SPOILS = {
    "dropped": Spoil(lost=True),
    "unreached": Spoil(times=0, lost=True),
    "doubled": Spoil(times=2),
}
"""Faults of answers by name, for the fault desk and the grader."""


class Answering:
    """An ASGI application: `answer` answers the requests, or those below `/v1/` of a service.

    So `/sandbox`, the health routes and the routes of the backend work while a fault is set. A
    preflight (Fetch standard) is answered without a fault.
    """

    def __init__(self, answer: Answer, service: ASGIApp | None = None) -> None:
        self._answer = answer
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        is_of_an_app = scope.get("path", "").startswith("/v1/") and scope["method"] != "OPTIONS"
        if self._service is not None and not is_of_an_app:
            await self._service(scope, receive, send)
            return
        request = Request(scope, receive)
        response = await self._answer(Call(request, await request.body()))
        await (response or drop)(scope, receive, send)


class Truncated(Response):
    """Sends the head and half of the body, and closes the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code)
        self.raw_headers = whole.raw_headers

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **head})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if not await _hang_up(receive, send):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def drop(_scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without a byte."""
    if not await _hang_up(receive, send):
        raise ConnectionResetError


async def _hang_up(receive: Receive, send: Send) -> bool:
    # ASGI has no message that closes a connection. Under uvicorn, `send` is a method of the object
    # that owns the socket's transport.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.close()
    # The request has been read, so the next message is the disconnect. uvicorn would send 500 for
    # an app that returns before that.
    await receive()
    return True


def with_faults(service: ASGIApp, state: SandboxState, problem: Problem) -> ASGIApp:
    """Return the service with the fault of its answers that the fault desk has set."""

    async def answer(call: Call) -> Response | None:
        faults = state.next_answer_fault()
        name, seconds = faults.answers or "", faults.seconds
        spoil = ANSWER_SPOILS.get(name, Spoil(after=seconds if name == "delayed" else 0))
        if name in PROBLEMS:
            spoil = Spoil(instead=problem(PROBLEMS[name], math.ceil(seconds)))
        return await spoil.answer(call, service)

    return Answering(answer, service)
