"""Forward authentication: a gateway asks whether the request that it holds may pass.

Exactly 200 allows. Only the bearer token decides: headers that describe the original request may
be a client's own. Gateways and their configurations: deploy/gateways.
"""

from fastapi import Request, Response

from app.api.deps import BearerDep, ServicesDep, name_session
from app.api.routing import ANY_METHOD, new_router
from app.errors import AccessSessionEnded
from app.sessions.models import EndReason

router = new_router("gateway")


@router.api_route("/authz", methods=[ANY_METHOD], include_in_schema=False)
@router.api_route("/authz/{original:path}", methods=[ANY_METHOD], include_in_schema=False)
async def authorize(
    request: Request, response: Response, services: ServicesDep, token: BearerDep
) -> None:
    """Allow a request with the access token of an active session, and say whose it is."""
    try:
        valid = await services.sessions.authorize(token)
    except AccessSessionEnded as error:
        if error.reason == EndReason.BANNED:
            await services.bans.check(services.sessions.verify(token).subject)
        raise
    session = valid.session
    name_session(request, session)
    response.raw_headers += [
        (b"content-length", b"0"),
        (b"x-auth-user-id", session.subject.encode()),
        (b"x-auth-session-id", session.id.encode()),
        (b"x-auth-device-type", (session.device_type or "").encode()),
        (b"x-auth-expires-at", b"%d" % valid.expires_at.timestamp()),
        (b"x-auth-error-code", b""),
    ]
