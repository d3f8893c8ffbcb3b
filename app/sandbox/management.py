"""The fake Authing's management API: a token for the pool id and the secret, and the users."""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.sandbox.state import SandboxState, json_object

_TOKEN_LIFE = 7200
Answer: TypeAlias = Callable[[Request], Awaitable[Response]]


def management_answers(state: SandboxState) -> dict[str, tuple[str, Answer]]:
    """Return method and function of each path. Refusals have HTTP 200, as in Authing's v3."""

    async def new_token(request: Request) -> Response:
        body = json_object(await request.body()) or {}
        expected = f"{state.options.user_pool_id} {state.options.user_pool_secret}"
        given = f"{body.get('accessKeyId')} {body.get('accessKeySecret')}"
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return _refusal(401, 1010)
        token = secrets.token_hex(32)
        state.management_tokens[token] = state.options.clock() + _TOKEN_LIFE
        return _success({"access_token": token, "expires_in": _TOKEN_LIFE})

    async def get_user(request: Request) -> Response:
        state.users_read += 1
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if state.management_tokens.get(token, 0) <= state.options.clock():
            return _refusal(401, 1010)
        user_id = request.query_params.get("userId", "")
        status = state.statuses.get(user_id, "Activated")
        if status == "Deleted":
            return _refusal(404, 2004)
        return _success({"userId": user_id, "status": status})

    return {
        "/api/v3/get-management-token": ("POST", new_token),
        "/api/v3/get-user": ("GET", get_user),
    }


def _success(data: dict[str, Any]) -> Response:
    return JSONResponse({"statusCode": 200, "message": "success", "data": data})


def _refusal(status: int, api_code: int) -> Response:
    return JSONResponse({"statusCode": status, "apiCode": api_code, "message": "..."})
