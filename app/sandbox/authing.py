"""The fake Authing: the exchange of a ticket for a user, the JWKS, the online check of a token.

The exchange is `POST /oauth/app2wxapp/auth/{pool}` with `{ticket, secret}` in JSON. A refusal is an
envelope with a business code and `data: null`: 2224 another pool, 1001 another secret, 2231 no
ticket in the body, 2207 an unknown or used ticket, 2206 an expired ticket.

docs/sandbox.md says of each fault what the client sees. In one process there
is no connection: a drop raises ConnectionResetError out of the application, and a truncated
response ends early.
"""

import asyncio
import hmac
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from typing_extensions import override

from app.sandbox.management import Answer, management_answers
from app.sandbox.personas import Persona, SigningKeys, user_record
from app.sandbox.state import Fault, Refusal, SandboxOptions, SandboxState, Ticket, json_object

_FIFTEEN_DAYS = 1_296_000
_HOUR = 3_600
_PORTAL = "<!doctype html><title>Wi-Fi</title><p>Please accept our terms."
_BUSY = "<!doctype html><title>503</title><p>Service Unavailable"


def authing_routes(state: SandboxState) -> list[Route]:
    """Return the routes that the product calls at Authing."""

    async def jwks(_request: Request) -> Response:
        state.jwks_reads += 1
        return JSONResponse(state.keys.jwks())

    async def check_token(request: Request) -> Response:
        claims = state.keys.genuine(request.query_params.get("access_token", ""))
        code = 200 if claims else 2207
        return JSONResponse({"status": bool(claims), "code": code, "token": claims})

    return [
        Route("/oauth/app2wxapp/auth/{pool}", Exchange(state), methods=["POST"]),
        Route("/oidc/.well-known/jwks.json", jwks),
        Route("/authing/token", check_token),
        *(
            Route(path, ManagementCall(state, answer), methods=[method])
            for path, (method, answer) in management_answers(state).items()
        ),
    ]


class Call(ABC):
    """Answers a call, or makes its fault. A plain ASGI app: faults need the connection's `send`."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> ASGIApp:
        fault = await self._next_fault(request)
        if not await _wait_if_slow(fault, request):
            return drop
        if instead := _answer_instead(fault, request):
            return instead
        return _spoil(fault, await self._answer(request, fault))

    async def _next_fault(self, _request: Request) -> Fault:
        return self._state.next_fault("management")

    @abstractmethod
    async def _answer(self, request: Request, fault: Fault) -> Response:
        """Answer the request."""


class ManagementCall(Call):
    """A call of the management API."""

    def __init__(self, state: SandboxState, answer: Answer) -> None:
        super().__init__(state)
        self._answer_to = answer

    @override
    async def _answer(self, request: Request, fault: Fault) -> Response:
        return await self._answer_to(request)


class Exchange(Call):
    """Exchanges a ticket."""

    @override
    async def _next_fault(self, request: Request) -> Fault:
        return self._state.arrive(_text(await _json_body(request), "ticket"))

    @override
    async def _answer(self, request: Request, fault: Fault) -> Response:
        return self._exchange(request.path_params["pool"], await _json_body(request), fault.kind)

    def _exchange(self, pool: str, body: Mapping[str, Any], fault: str) -> Response:
        options = self._state.options
        try:
            _check_caller(options, pool, _text(body, "secret"))
            ticket = self._state.redeem(_text(body, "ticket"))
        except Refusal as refusal:
            if options.refusal_spends:
                self._state.tickets.pop(_text(body, "ticket"), None)
            return _json(_envelope(refusal.code, refusal.message, None), options.refusal_status)
        return _json(_dressed(self._user(ticket, fault), options))

    def _user(self, ticket: Ticket, fault: str) -> dict[str, Any]:
        options, keys = self._state.options, self._state.keys
        persona = Persona.named(ticket.persona)
        now = int(options.clock()) + (_HOUR if fault == "clock_ahead" else 0)
        signer = keys.impostor() if fault == "bad_token" else keys
        token, expires_at = user_token(options, signer, persona, now)
        return user_record(
            persona, token, now=now, expires_at=expires_at, get_phone=ticket.get_phone
        )


def user_token(
    options: SandboxOptions, keys: SigningKeys, persona: Persona, now: int
) -> tuple[str, int]:
    """Return the `token` of the user object and its expiry in seconds since 1970."""
    legacy = options.token_algorithm == "HS256"
    times = {"iat": now, "exp": now + (_FIFTEEN_DAYS if legacy else _HOUR)}
    if legacy:
        return keys.hs256({"data": _legacy_data(options, persona), **times}), times["exp"]
    return keys.rs256({**_oidc_claims(options, persona), **times}), times["exp"]


def _legacy_data(options: SandboxOptions, persona: Persona) -> dict[str, Any]:
    pools = {"userPoolId": options.user_pool_id, "clientId": options.user_pool_id}
    return {"type": "user", "unionid": persona.unionid, "id": persona.user_id, **pools}


def _oidc_claims(options: SandboxOptions, persona: Persona) -> dict[str, Any]:
    profile = {"nickname": persona.nickname, "picture": persona.photo, "gender": "U", "email": None}
    registered = {"sub": persona.user_id, "aud": options.audience, "iss": options.issuer}
    return {**registered, **profile}


def _check_caller(options: SandboxOptions, pool: str, secret: str) -> None:
    if pool != options.user_pool_id:
        raise Refusal(2224, "用户池不存在")
    right = hmac.compare_digest(secret.encode(), options.user_pool_secret.encode())
    if options.need_secret and not right:
        raise Refusal(1001, "无权限")


def _dressed(user: dict[str, Any], options: SandboxOptions) -> dict[str, Any]:
    wrap = partial(_envelope, "200" if options.code_as_text else 200, "获取用户信息成功")
    shapes: dict[str, dict[str, Any]] = {
        "bare": user,
        "envelope_object": wrap(user),
        "envelope_string": wrap(json.dumps(user, ensure_ascii=False)),
        "nested": wrap(wrap(user)),
    }
    return shapes[options.shape]


def _envelope(code: int | str, message: str, data: object) -> dict[str, Any]:
    return {"code": code, "message": message, "data": data}


def _json(content: dict[str, Any], status: int = 200) -> Response:
    # With the charset, as Authing's framework sends it.
    return JSONResponse(content, status, media_type="application/json; charset=utf-8")


async def _json_body(request: Request) -> Mapping[str, Any]:
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return {}
    return json_object(body) or {}


def _text(body: Mapping[str, Any], member: str) -> str:
    value = body.get(member)
    return value if isinstance(value, str) else ""


async def _wait_if_slow(fault: Fault, request: Request) -> bool:
    """Wait if the fault is `slow`; return False if the client has disconnected meanwhile."""
    if fault.kind != "slow":
        return True
    await asyncio.sleep(fault.seconds)
    return not await request.is_disconnected()


def _answer_instead(fault: Fault, request: Request) -> ASGIApp | None:
    """Return the response that replaces the exchange; None if the fault does not replace it."""
    retry = {"Retry-After": str(math.ceil(fault.seconds))}
    answers: dict[str, ASGIApp] = {
        "drop": drop,
        "http_500": JSONResponse({"code": 500, "message": "服务器错误", "data": None}, 500),
        "http_503": HTMLResponse(_BUSY, 503, retry),
        "rate_limited": JSONResponse({"code": 429, "message": "请求过于频繁"}, 429, retry),
        "html": HTMLResponse(_PORTAL),
        "redirect": RedirectResponse(request.url.path),
    }
    return answers.get(fault.kind)


def _spoil(fault: Fault, response: Response) -> ASGIApp:
    """Return the response as the fault changes it."""
    if fault.kind == "accept_then_drop":
        return drop
    return _truncated(response) if fault.kind == "truncated" else response


async def drop(_scope: Scope, receive: Receive, send: Send) -> None:
    """Close the connection without a byte."""
    if not await _hang_up(receive, send):
        raise ConnectionResetError


def _truncated(response: Response) -> ASGIApp:
    """Return an app that sends the head and half of the body, and closes the connection."""

    async def send_half(_scope: Scope, receive: Receive, send: Send) -> None:
        head = {"status": response.status_code, "headers": response.raw_headers}
        await send({"type": "http.response.start", **head})
        half = bytes(response.body)[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        if not await _hang_up(receive, send):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_half


async def _hang_up(receive: Receive, send: Send) -> bool:
    # ASGI has no message that closes a connection. Under uvicorn, `send` is a method of the object
    # that owns the socket's transport. Elsewhere there is no transport, and nothing happens.
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.close()
    # The request has been read, so the next message is the disconnect. uvicorn would send 500 for
    # an app that returns before that.
    await receive()
    return True
