"""What other services need to verify our access tokens on their own."""

from typing import cast

from fastapi import Response

from app.api.deps import ServicesDep
from app.api.openapi import cacheable
from app.api.routing import new_router
from app.api.schemas import Discovery, JwkSet

router = new_router()
_CACHEABLE = "public, max-age=300"
_KEPT = cacheable(200, _CACHEABLE)


@router.get("/.well-known/jwks.json", summary="Public keys", responses=_KEPT)
@router.head("/.well-known/jwks.json", include_in_schema=False)
async def jwks(response: Response, services: ServicesDep) -> JwkSet:
    """The public half of every signing key (RFC 7517)."""
    response.headers["Cache-Control"] = _CACHEABLE
    return cast("JwkSet", services.keys.ring.public_jwks())


@router.get("/.well-known/oauth-authorization-server", summary="Discovery", responses=_KEPT)
@router.head("/.well-known/oauth-authorization-server", include_in_schema=False)
async def discovery(response: Response, services: ServicesDep) -> Discovery:
    """Authorization server metadata (RFC 8414).

    There is no authorization endpoint: the login is the mini program's.
    """
    response.headers["Cache-Control"] = _CACHEABLE
    return {
        "issuer": services.issuer,
        "jwks_uri": f"{services.issuer}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
    }
