"""Forward authentication: a gateway asks whether the request that it holds may pass.

Exactly 200 allows. Only the bearer token decides: headers that describe the original request may
be a client's own. Gateways and their configurations: deploy/gateways.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.routing import Route

from app.api.deps import ACCESS_TOKEN, bearer_token, services_of
from app.api.openapi import IDENTITY, problems
from app.api.routing import ANY_METHOD, ApiResponse
from app.errors import AccessSessionEnded
from app.sessions.models import EndReason


async def _authorize(request: Request) -> Response:
    """Allow the access token of an active session, and say whose it is.

    For any method and path; each request of a gateway's clients comes here.
    """
    core = services_of(request)
    try:
        valid = await core.sessions.authorize(bearer_token(request))
    except AccessSessionEnded as error:
        if error.reason == EndReason.BANNED:
            await core.bans.check(core.sessions.verify(bearer_token(request)).subject)
        raise
    response = ApiResponse(200)
    response.raw_headers += [
        (b"content-length", b"0"),
        (b"x-auth-user-id", valid.subject.encode()),
        (b"x-auth-session-id", valid.session_id.encode()),
        (b"x-auth-device-type", (valid.device_type or "").encode()),
        (b"x-auth-expires-at", b"%d" % valid.expires_at.timestamp()),
        (b"x-auth-error-code", b""),
    ]
    return response


class _Described(Route):
    """FastAPI describes no plain route, so `operations` does."""

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
        _Described("/authz", _authorize, methods=[ANY_METHOD]),
        Route("/authz/{original:path}", _authorize, methods=[ANY_METHOD]),
    ]
)
