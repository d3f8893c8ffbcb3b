"""What anyone may read and caches may keep: the launch of the mini program, keys, metadata."""

from typing import cast

from fastapi import Response

from app.api.deps import ServicesDep
from app.api.openapi import cacheable, problems
from app.api.routing import new_router
from app.api.schemas import Discovery, JwkSet
from app.sessions.miniprogram import Launch, Platform

router = new_router()
_CACHE_CONTROL = "public, max-age=300"
_CACHEABLE = cacheable(200, _CACHE_CONTROL)


@router.get(
    "/v1/launch",
    summary="How to open the mini program",
    responses=_CACHEABLE | problems(422),
)
@router.head("/v1/launch", include_in_schema=False)
async def launch(
    response: Response,
    services: ServicesDep,
    platform: Platform | None = None,
    *,
    get_phone: bool | None = None,
) -> Launch:
    """Give the arguments of the WeChat SDK's launch request."""
    response.headers["Cache-Control"] = _CACHE_CONTROL
    return services.mini_program.launch(platform, get_phone=get_phone)


@router.get("/.well-known/jwks.json", summary="Public keys", responses=_CACHEABLE)
@router.head("/.well-known/jwks.json", include_in_schema=False)
async def jwks(response: Response, services: ServicesDep) -> JwkSet:
    """The public half of every signing key (RFC 7517)."""
    response.headers["Cache-Control"] = _CACHE_CONTROL
    return cast("JwkSet", services.keys.ring.public_jwks())


@router.get("/.well-known/oauth-authorization-server", summary="Discovery", responses=_CACHEABLE)
@router.head("/.well-known/oauth-authorization-server", include_in_schema=False)
async def discovery(response: Response, services: ServicesDep) -> Discovery:
    """Authorization server metadata (RFC 8414).

    There is no authorization endpoint: the login is the mini program's.
    """
    response.headers["Cache-Control"] = _CACHE_CONTROL
    return {
        "issuer": services.issuer,
        "jwks_uri": f"{services.issuer}/.well-known/jwks.json",
        "response_types_supported": [],
        "grant_types_supported": [],
    }
