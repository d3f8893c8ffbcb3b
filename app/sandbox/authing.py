"""The fake Authing: the exchange of a ticket for a user, and the JWKS.

The exchange is `POST /oauth/app2wxapp/auth/{pool}` with `{ticket, secret}` in JSON. A refusal is an
envelope with a business code and `data: null`: 2224 another pool, 1001 another secret, 2231 no
ticket in the body, 2207 an unknown or used ticket, 2206 an expired ticket.
"""

import hmac
import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.sandbox.faults import answer_instead, drop, spoil, wait_if_slow
from app.sandbox.personas import Persona, SigningKeys, user_record
from app.sandbox.state import Refusal, SandboxOptions, SandboxState, Ticket, json_object

_FIFTEEN_DAYS = 1_296_000
_HOUR = 3_600


def authing_routes(state: SandboxState) -> list[Route]:
    """Return the routes that the product calls at Authing."""

    async def jwks(_request: Request) -> Response:
        state.jwks_reads += 1
        return JSONResponse(state.keys.jwks())

    return [
        Route("/oauth/app2wxapp/auth/{pool}", Exchange(state), methods=["POST"]),
        Route("/oidc/.well-known/jwks.json", jwks),
    ]


class Exchange:
    """Answers an exchange. A plain ASGI app: faults need the connection's own `send`."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> ASGIApp:
        body = await _json_body(request)
        fault = self._state.arrive(_text(body, "ticket"))
        if not await wait_if_slow(fault, request):
            return drop
        if instead := answer_instead(fault, request):
            return instead
        genuine = fault.kind != "bad_token"
        return spoil(fault, self._exchange(request.path_params["pool"], body, genuine=genuine))

    def _exchange(self, pool: str, body: Mapping[str, Any], *, genuine: bool) -> Response:
        options = self._state.options
        try:
            _check_caller(options, pool, _text(body, "secret"))
            ticket = self._state.redeem(_text(body, "ticket"))
        except Refusal as refusal:
            if options.refusal_spends:
                self._state.tickets.pop(_text(body, "ticket"), None)
            return _json(_envelope(refusal.code, refusal.message, None), options.refusal_status)
        return _json(_dressed(self._user(ticket, genuine=genuine), options))

    def _user(self, ticket: Ticket, *, genuine: bool) -> dict[str, Any]:
        options, keys = self._state.options, self._state.keys
        persona = Persona.named(ticket.persona)
        now = int(options.clock())
        signer = keys if genuine else keys.impostor()
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
