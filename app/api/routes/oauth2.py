"""Introspection (RFC 7662) and revocation (RFC 7009), for clients that speak OAuth.

Bodies are forms, and errors have OAuth's own form.
"""

from base64 import b64decode
from urllib.parse import unquote_plus

from fastapi import Request, Response

from app.api.bodies import FORM, read_form
from app.api.deps import ServiceKeys, ServicesDep
from app.api.openapi import problems
from app.api.routing import new_router
from app.api.schemas import Introspection
from app.errors import AccessRefused, MalformedRequest, RefreshRefused, ServiceKeyInvalid

router = new_router("oauth2")
introspection = new_router("oauth2")
"""Exists only with `SERVICE_API_KEYS`."""
_TOKEN = {
    "type": "object",
    "properties": {"token": {"type": "string", "minLength": 1}},
    "required": ["token"],
}
_FORM = {"requestBody": {"required": True, "content": {FORM: {"schema": _TOKEN}}}}


@introspection.post(
    "/oauth2/introspect",
    summary="What is a token worth?",
    responses=problems(401, 503),
    openapi_extra=_FORM | {"security": [{"service_key": []}]},
)
async def introspect(request: Request, services: ServicesDep) -> Introspection:
    """Tell what an access or refresh token is worth now. Of a bad one nothing else is told.

    The service key may also be the password of any user (Basic).
    """
    _authenticate(request, services.service_keys)
    token = await _token(request)
    try:
        valid = await services.sessions.inspect(token)
    except (AccessRefused, RefreshRefused):
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
    openapi_extra=_FORM,
)
async def revoke(request: Request, services: ServicesDep) -> Response:
    """End the session of a token. The token is the credential; an unknown one is no error."""
    await services.sessions.revoke_token(await _token(request))
    return Response()


async def _token(request: Request) -> str:
    token = (await read_form(request)).get("token")
    if token is None:
        raise MalformedRequest
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
            raise ServiceKeyInvalid from None
    if not keys.accept(key):
        raise ServiceKeyInvalid
