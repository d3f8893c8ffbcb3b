"""Forward authentication: a gateway asks whether the request that it holds may pass.

Exactly 200 allows. Only the bearer token decides: headers that describe the original request may
be a client's own. Gateways and their configurations: deploy/gateways.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.api.deps import ACCESS_TOKEN, services
from app.api.openapi import IDENTITY, problems
from app.api.routing import ANY_METHOD
from app.errors import AccessSessionEnded
from app.sessions.models import EndReason


class _Authorize:
    """Answers for any method and path; each request of a gateway's clients comes here."""

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Allow the access token of an active session, and say whose it is."""
        request = Request(scope)
        core = await services(request)
        token = await ACCESS_TOKEN(request)
        try:
            valid = await core.sessions.authorize(token)
        except AccessSessionEnded as error:
            if error.reason == EndReason.BANNED:
                await core.bans.check(core.sessions.verify(token).subject)
            raise
        headers = [
            (b"content-length", b"0"),
            (b"x-auth-user-id", valid.subject.encode()),
            (b"x-auth-session-id", valid.session_id.encode()),
            (b"x-auth-device-type", (valid.device_type or "").encode()),
            (b"x-auth-expires-at", b"%d" % valid.expires_at.timestamp()),
            (b"x-auth-error-code", b""),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})


class _Described(Route):
    """FastAPI describes no plain ASGI application, so `operations` does."""

    operations: Mapping[str, dict[str, Any]] = {
        "get": {
            "operationId": "authorize",
            "tags": ["backend"],
            "summary": "May this request pass?",
            "description": "For gateways, with any method, also below `/authz/`. 200 allows. "
            "Each response has all `X-Auth-` headers; `X-Auth-Error-Code` is the code of an error.",
            "security": [{ACCESS_TOKEN.scheme_name: []}],
            "responses": {"200": {"description": "It may pass", "headers": IDENTITY}}
            | problems(401, 403, 503),
        }
    }


router = APIRouter(
    routes=[
        _Described("/authz", _Authorize(), methods=[ANY_METHOD]),
        Route("/authz/{original:path}", _Authorize(), methods=[ANY_METHOD]),
    ]
)
