"""Liveness and readiness, for orchestrators.

Liveness touches only the process, because a restart repairs no store. Readiness checks the store,
the keys and the drain. Authing never counts, because only logins need it.
"""

import asyncio
from collections.abc import Callable

from fastapi import Response

from app.api.deps import ServicesDep
from app.api.routing import new_router
from app.api.schemas import Checks, Liveness, Readiness
from app.errors import StoreUnavailable
from app.sessions.ports import Maintenance

router = new_router("health")
_PROBE_INTERVAL = 1.0


class StoreProbe:
    """Whether the store can be written. All callers within one second share one probe.

    A probe writes and waits for the disk, and `/readyz` is open to anyone who reaches it.
    """

    def __init__(self, maintenance: Maintenance, timer: Callable[[], float]) -> None:
        """`timer` returns monotonic seconds."""
        self._maintenance = maintenance
        self._timer = timer
        self._next_at = float("-inf")
        self._probe: asyncio.Task[bool]

    async def __call__(self) -> bool:
        """Return the result of the last probe, or of a new one if that is a second old."""
        now = self._timer()
        if now >= self._next_at:
            self._next_at = now + _PROBE_INTERVAL
            self._probe = asyncio.create_task(self._write())
        return await asyncio.shield(self._probe)  # one caller's disconnect is not for the others

    async def _write(self) -> bool:
        try:
            await self._maintenance.check_writable()
        except StoreUnavailable:
            return False
        return True


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

    Keys and secrets are always loaded: a broken file is reported and does not unload them.
    """
    checks: Checks = {
        "store": "ok" if await services.store_writable() else "unavailable",
        "keys": services.keys_state(),
        "secrets": services.secrets_state(),
        "draining": "yes" if services.is_draining() else "no",
    }
    ready = (checks["store"], checks["draining"]) == ("ok", "no")
    response.status_code = 200 if ready else 503
    return {
        "status": "ready" if ready else "not_ready",
        "checks": checks,
        "authing": services.authing_state(),
    }
