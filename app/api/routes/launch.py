"""What the app needs to open the mini program, so that changing it needs no app release."""

from dataclasses import asdict
from typing import cast

from fastapi import Response

from app.api.deps import ServicesDep
from app.api.openapi import cacheable, problems
from app.api.routing import new_router
from app.api.schemas import LaunchResponse
from app.sessions.miniprogram import Platform

router = new_router()
_CACHEABLE = "public, max-age=300"


@router.get(
    "/v1/launch",
    summary="How to open the mini program",
    responses=cacheable(200, _CACHEABLE) | problems(422),
)
@router.head("/v1/launch", include_in_schema=False)
async def launch(
    response: Response,
    services: ServicesDep,
    platform: Platform | None = None,
    *,
    get_phone: bool | None = None,
) -> LaunchResponse:
    """Give the arguments of the WeChat SDK's request. Cacheable for five minutes."""
    response.headers["Cache-Control"] = _CACHEABLE
    launch = services.mini_program.launch(platform, get_phone=get_phone)
    return cast("LaunchResponse", asdict(launch))
