"""What a token is worth, for services and gateways: OAuth 2 and forward authentication.

Introspection (RFC 7662) and revocation (RFC 7009) take forms, and errors have OAuth's own form. A
gateway asks whether the request that it holds may pass: exactly 200 allows. Only the bearer token
decides, because headers that describe the original request may be a client's own. Gateways and
their configurations: deploy/gateways.
"""

from base64 import b64decode
from urllib.parse import unquote_plus

from fastapi import APIRouter, Request, Response
from starlette.routing import Route

from app import errors
from app.api.bodies import read_form
from app.api.deps import ACCESS_TOKEN, ServiceKeys, ServicesDep, services
from app.api.openapi import problems
from app.api.routing import ANY_METHOD, ApiResponse, new_router
from app.api.schemas import Introspection
from app.sessions.models import EndReason

router = new_router("oauth2")
introspection = new_router("oauth2")
"""Exists only with `SERVICE_API_KEYS`."""


@introspection.post(
    "/oauth2/introspect", summary="What is a token worth?", responses=problems(401, 503)
)
async def introspect(request: Request, services: ServicesDep) -> Introspection:
    """Tell what an access or refresh token is worth now. Of a bad one nothing else is told.

    The service key may also be the password of any user (Basic).
    """
    _authenticate(request, services.service_keys)
    token = await _token(request)
    try:
        valid = await services.sessions.inspect(token)
    except (errors.AccessRefused, errors.RefreshRefused):
        return {"active": False}
    codec = services.sessions.issuer.access_tokens
    shown: Introspection = {
        "active": True,
        "iss": codec.issuer,
        "sub": valid.subject,
        "sid": valid.session_id,
        "client_id": codec.client_id,
        "exp": int(valid.expires_at.timestamp()),
        "token_type": "refresh_token",
    }
    if valid.issued_at is not None:  # a refresh token has no audience, and none may take it for one
        issued_at = int(valid.issued_at.timestamp())
        shown = {**shown, "aud": codec.audience, "iat": issued_at, "token_type": "Bearer"}
    return shown


@router.post(
    "/oauth2/revoke",
    summary="End the session of a token",
    response_class=Response,
    responses=problems(503),
)
async def revoke(request: Request, services: ServicesDep) -> Response:
    """End the session of a token. The token is the credential; an unknown one is no error."""
    await services.sessions.revoke_token(await _token(request))
    return Response()


async def _token(request: Request) -> str:
    token = (await read_form(request)).get("token")
    if token is None:
        raise errors.MalformedRequest
    return token


def _authenticate(request: Request, keys: ServiceKeys) -> None:
    """Check the service key: as a bearer token, or as the password of any user (RFC 7617).

    A password is percent-encoded (RFC 6749 section 2.3.1).
    """
    values = request.headers.getlist("authorization")
    scheme, _, credentials = (values[0] if len(values) == 1 else "").partition(" ")
    key = credentials.strip(" ") if scheme.lower() in {"bearer", "basic"} else ""
    if scheme.lower() == "basic":
        try:
            key = unquote_plus(b64decode(key, validate=True).decode().partition(":")[2])
        except ValueError:
            raise errors.ServiceKeyInvalid from None
    if not keys.accept(key):
        raise errors.ServiceKeyInvalid


# --- forward authentication ---


async def _authorize(request: Request) -> Response:
    """Allow the access token of an active session, and say whose it is.

    For any method and path; each request of a gateway's clients comes here.
    """
    core, token = await services(request), await ACCESS_TOKEN(request)
    try:
        valid = await core.sessions.authorize(token)
    except errors.AccessSessionEnded as error:
        if error.reason == EndReason.BANNED:
            await core.bans.check(core.sessions.verify(token).subject)
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


gateway = APIRouter(
    routes=[
        Route("/authz", _authorize, methods=[ANY_METHOD]),
        Route("/authz/{original:path}", _authorize, methods=[ANY_METHOD]),
    ]
)
