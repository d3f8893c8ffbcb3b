"""Liveness and readiness, for orchestrators.

Liveness touches only the process, because a restart repairs no store. Readiness checks the store,
the keys and the drain. Authing never counts, because only logins need it.
"""

from typing import Literal

from fastapi import Response

from app.api.deps import Services, ServicesDep
from app.api.routing import new_router
from app.api.schemas import Checks, Liveness, Readiness
from app.errors import StoreUnavailable

router = new_router("health")


@router.get("/livez", summary="Is the process alive?")
@router.head("/livez", include_in_schema=False)
async def livez() -> Liveness:
    """Return 200 while the process can respond."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Can this instance take traffic?",
    responses={503: {"description": "No", "model": Readiness}},
)
@router.head("/readyz", include_in_schema=False)
async def readyz(response: Response, services: ServicesDep) -> Readiness:
    """Return 200 if the store is writable and the process is not draining, else 503.

    Keys are always loaded: before the first request, and a broken key file does not unload them.
    """
    checks: Checks = {
        "store": await _store_state(services),
        "keys": "ok",
        "draining": "yes" if services.is_draining() else "no",
    }
    ready = checks == {"store": "ok", "keys": "ok", "draining": "no"}
    response.status_code = 200 if ready else 503
    return {
        "status": "ready" if ready else "not_ready",
        "checks": checks,
        "authing": services.authing_state(),
    }


async def _store_state(services: Services) -> Literal["ok", "unavailable"]:
    try:
        await services.maintenance.check_writable()
    except StoreUnavailable:
        return "unavailable"
    return "ok"
