"""What anyone may ask: the launch of the mini program, keys, metadata, and the process's health.

Caches may keep the first three. Liveness touches only the process, because a restart repairs no
store. Readiness checks the store, the keys and the drain. Authing never counts, because only logins
need it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast
from urllib.parse import unquote

from fastapi import APIRouter, Response

from app.api.deps import ServicesDep
from app.api.openapi import problems
from app.api.routing import new_router
from app.api.schemas import Checks, Discovery, JwkSet, Liveness, Readiness
from app.errors import StoreUnavailable
from app.sessions.miniprogram import Launch, Platform
from app.sessions.ports import Maintenance
from app.sessions.proofs import PROOF_ALGORITHMS

router = new_router("public")
health = new_router("health")
_CACHE_CONTROL = "public, max-age=300"
_PROBE_INTERVAL = 1.0


@router.get("/v1/launch", summary="How to open the mini program", responses=problems(422))
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


@router.get("/.well-known/jwks.json", summary="Public keys")
@router.head("/.well-known/jwks.json", include_in_schema=False)
async def jwks(response: Response, services: ServicesDep) -> JwkSet:
    """The public half of every signing key (RFC 7517)."""
    response.headers["Cache-Control"] = _CACHE_CONTROL
    return cast("JwkSet", services.keys.ring.public_jwks())


async def discovery(response: Response, services: ServicesDep) -> Discovery:
    """Authorization server metadata (RFC 8414).

    There is no authorization endpoint: the login is the mini program's.
    """
    response.headers["Cache-Control"] = _CACHE_CONTROL
    document: Discovery = {
        "issuer": services.issuer,
        "jwks_uri": f"{services.issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{services.issuer}/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": [],
        "grant_types_supported": [],
    }
    if services.proofs.binding != "off":
        document["dpop_signing_alg_values_supported"] = [*PROOF_ALGORITHMS]
    if services.service_keys:
        document["introspection_endpoint"] = f"{services.issuer}/oauth2/introspect"
        document["introspection_endpoint_auth_methods_supported"] = [
            "client_secret_basic",
            "Bearer",
        ]
    return document


_NAMES = {"oauth-authorization-server": "discovery", "openid-configuration": "openid_configuration"}
"""Of the document, each with its operation. Some gateways know only the second."""
for _document, _operation in _NAMES.items():
    _add = partial(router.add_api_route, f"/.well-known/{_document}", discovery, name=_operation)
    _add(methods=["GET"], summary="Discovery")
    _add(methods=["HEAD"], include_in_schema=False)


def discovery_below(issuer_path: str) -> APIRouter:
    """The same document where RFC 8414 section 3.1 looks for that of an issuer with a path.

    The path stands behind the well-known name, so no proxy strips it.
    """
    below = new_router("public")
    for name in _NAMES:
        path = f"/.well-known/{name}{unquote(issuer_path)}"
        below.add_api_route(path, discovery, methods=["GET", "HEAD"], include_in_schema=False)
    return below


@dataclass(slots=True)
class StoreProbe:
    """Whether the store can be written. All callers within one second of `timer` share one probe.

    A probe writes and waits for the disk, and `/readyz` is open to anyone who reaches it.
    """

    maintenance: Maintenance
    timer: Callable[[], float]
    _next_at: float = field(default=float("-inf"), init=False)
    _probe: asyncio.Task[bool] = field(init=False, repr=False)

    async def __call__(self) -> bool:
        """Return the result of the last probe, or of a new one if that is a second old."""
        now = self.timer()
        if now >= self._next_at:
            self._next_at = now + _PROBE_INTERVAL
            self._probe = asyncio.create_task(self._write())
        return await asyncio.shield(self._probe)  # one caller's disconnect is not for the others

    async def _write(self) -> bool:
        try:
            await self.maintenance.check_writable()
        except StoreUnavailable:
            return False
        return True


@health.get("/livez", summary="Is the process alive?")
@health.head("/livez", include_in_schema=False)
async def livez() -> Liveness:
    """Return 200 while the process can respond."""
    return {"status": "ok"}


@health.get(
    "/readyz",
    summary="Can this instance take traffic?",
    responses={503: {"description": "No", "model": Readiness}},
)
@health.head("/readyz", include_in_schema=False)
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
