"""Introspection (RFC 7662) and revocation (RFC 7009), for clients that speak OAuth.

Bodies are forms, and errors have OAuth's own form. So OpenAPI does not describe these routes.
"""

from base64 import b64decode
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Request, Response

from app.api.bodies import read_form
from app.api.deps import ServiceKeys, ServicesDep
from app.api.routing import new_router
from app.errors import AccessRefused, MalformedRequest, RefreshRefused, ServiceKeyInvalid

router = new_router("oauth2")
introspection = new_router("oauth2")
"""Exists only with `SERVICE_API_KEYS`."""


@introspection.post("/oauth2/introspect", include_in_schema=False)
async def introspect(request: Request, services: ServicesDep) -> dict[str, Any]:
    """Tell what an access or refresh token is worth now. Of a bad one nothing else is told."""
    _authenticate(request, services.service_keys)
    token = await _token(request)
    try:
        valid = await services.sessions.inspect(token)
    except (AccessRefused, RefreshRefused):
        return {"active": False}
    session, codec = valid.session, services.sessions.issuer.access_tokens
    shown: dict[str, Any] = {
        "active": True,
        "iss": codec.issuer,
        "sub": session.subject,
        "sid": session.id,
        "client_id": codec.client_id,
        "exp": int(valid.expires_at.timestamp()),
        "token_type": "refresh_token",
    }
    if valid.issued_at is not None:  # a refresh token has no audience, and none may take it for one
        issued_at = int(valid.issued_at.timestamp())
        shown |= {"aud": codec.audience, "iat": issued_at, "token_type": "Bearer"}
    return shown


@router.post("/oauth2/revoke", include_in_schema=False)
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
