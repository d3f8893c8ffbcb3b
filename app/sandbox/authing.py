"""The fake Authing: the exchange of a ticket for a user, its keys, its management API.

The exchange is `POST /oauth/app2wxapp/auth/{pool}` with `{ticket, secret}` in JSON. A refusal is an
envelope with a business code and `data: null`: 2224 another pool, 1001 another secret, 2231 no
ticket in the body, 2207 an unknown or used ticket, 2206 an expired ticket. The management API
gives a token for the pool id and the secret, and shows users; its refusals have HTTP 200, as in
Authing's v3. docs/sandbox.md says of each fault what the client sees.
"""

import json
import math
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp

from app.sandbox.faults import Answering, answer_with_fault
from app.sandbox.personas import Persona, SigningKeys, user_record
from app.sandbox.state import Place, Refusal, SandboxOptions, SandboxState, json_object

Endpoint: TypeAlias = Callable[[SandboxState, Request], Awaitable[Response]]

_FIFTEEN_DAYS = 1_296_000
_HOUR = 3_600
_TWO_HOURS = 7_200
_BUSY = "<!doctype html><title>503</title><p>Service Unavailable"


def authing_routes(state: SandboxState) -> list[Route]:
    """Return the routes that the product calls at Authing."""

    async def jwks(_request: Request) -> Response:
        state.jwks_reads += 1
        return JSONResponse(state.keys.jwks())

    exchange = _faulty(state, _exchange, "exchange")
    new_token = _faulty(state, _new_management_token, "management")
    return [
        Route("/oauth/app2wxapp/auth/{pool}", exchange, methods=["POST"]),
        Route("/oidc/.well-known/jwks.json", jwks),
        Route("/api/v3/get-management-token", new_token, methods=["POST"]),
        Route("/api/v3/get-user", _faulty(state, _get_user, "management")),
    ]


def _faulty(state: SandboxState, endpoint: Endpoint, place: Place) -> Answering:
    """Return the endpoint with faults. It finds the kind of the fault in the request's state."""
    app = request_response(partial(endpoint, state))

    async def answer(request: Request) -> Response:
        fault = state.next_fault(place)
        if place == "exchange":
            state.arrive(_text(json_object(await request.body()), "ticket"))
        request.state.fault = fault.kind
        refusals = _refusals(fault.seconds)
        return await answer_with_fault(fault.kind, fault.seconds, refusals, request, app)

    return Answering(answer)


def _refusals(seconds: float) -> dict[str, ASGIApp]:
    retry = {"Retry-After": str(math.ceil(seconds))}
    return {
        "http_500": JSONResponse({"code": 500, "message": "服务器错误", "data": None}, 500),
        "http_503": HTMLResponse(_BUSY, 503, retry),
        "rate_limited": JSONResponse({"code": 429, "message": "请求过于频繁"}, 429, retry),
    }


async def _exchange(state: SandboxState, request: Request) -> Response:
    options, keys = state.options, state.keys
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    given = await request.body() if media_type == "application/json" else b""
    body = json_object(given)
    try:
        _check_caller(options, request.path_params["pool"], _text(body, "secret"))
        ticket = state.redeem(_text(body, "ticket"))
    except Refusal as refusal:
        if options.refusal_spends:
            state.tickets.pop(_text(body, "ticket"), None)
        code, message = refusal.args
        return _json(_envelope(code, message, None), options.refusal_status)
    persona = Persona(ticket.persona)
    now = int(options.clock()) + (_HOUR if request.state.fault == "clock_ahead" else 0)
    signer = keys.impostor() if request.state.fault == "bad_token" else keys
    token, expires_at = user_token(options, signer, persona, now)
    user = user_record(persona, token, now=now, expires_at=expires_at, get_phone=ticket.get_phone)
    return _json(_dressed(user, options))


def user_token(
    options: SandboxOptions, keys: SigningKeys, persona: Persona, now: int
) -> tuple[str, int]:
    """Return the `token` of the user object and its expiry in seconds since 1970."""
    if options.token_algorithm == "RS256":
        times = {"iat": now, "exp": now + _HOUR}
        ids = {"sub": persona.user_id, "aud": options.audience, "iss": options.issuer}
        profile = {"nickname": persona.nickname, "picture": persona.photo}
        return keys.rs256({**ids, **profile, "gender": "U", "email": None, **times}), times["exp"]
    times = {"iat": now, "exp": now + _FIFTEEN_DAYS}
    pools = {"userPoolId": options.user_pool_id, "clientId": options.user_pool_id}
    data = {"type": "user", "unionid": persona.unionid, "id": persona.user_id, **pools}
    return keys.hs256({"data": data, **times}), times["exp"]


def _check_caller(options: SandboxOptions, pool: str, secret: str) -> None:
    if pool != options.user_pool_id:
        raise Refusal(2224, "用户池不存在")
    if options.need_secret and secret != options.user_pool_secret:
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


def _text(body: Mapping[str, Any], member: str) -> str:
    value = body.get(member)
    return value if isinstance(value, str) else ""


async def _new_management_token(state: SandboxState, request: Request) -> Response:
    body = json_object(await request.body())
    expected = (state.options.user_pool_id, state.options.user_pool_secret)
    if (body.get("accessKeyId"), body.get("accessKeySecret")) != expected:
        return _managed(401, apiCode=1010)
    token = secrets.token_hex(32)
    state.management_tokens[token] = state.options.clock() + _TWO_HOURS
    return _managed(data={"access_token": token, "expires_in": _TWO_HOURS})


async def _get_user(state: SandboxState, request: Request) -> Response:
    state.users_read += 1
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if state.management_tokens.get(token, 0) <= state.options.clock():
        return _managed(401, apiCode=1010)
    user_id = request.query_params.get("userId", "")
    status = state.statuses.get(user_id, "Activated")
    if status == "Deleted":
        return _managed(404, apiCode=2004)
    return _managed(data={"userId": user_id, "status": status})


def _managed(status: int = 200, **members: object) -> Response:
    return JSONResponse({"statusCode": status, "message": "...", **members})
