"""Builds the application: the routes that FastAPI describes, our dispatcher, our middleware."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi_swagger import patch_fastapi
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from typing_extensions import override

from app import __version__
from app.api.deps import Services
from app.api.middleware import RequestContext
from app.api.openapi import complete
from app.api.routes import internal, public, sessions, tokens, webhooks
from app.api.routing import Dispatcher

_ROUTERS = (public.router, sessions.router, tokens.gateway, tokens.router, public.health)
_WITH_SERVICE_KEYS = (internal.router, tokens.introspection)


class Description(FastAPI):
    """Holds the routes and describes them. It serves no request."""

    services: Services

    @override
    def openapi(self) -> dict[str, Any]:
        if not self.openapi_schema:
            document = super().openapi()
            for route in self.routes:
                # A route may bring its Operation Object, such as those of the sandbox.
                for method, operation in getattr(route, "operations", {}).items():
                    document["paths"].setdefault(getattr(route, "path", ""), {})[method] = operation
            self.openapi_schema = complete(
                document, {getattr(route, "path", "") for route in self.routes}
            )
        return self.openapi_schema


def create_app(
    services: Services,
    *,
    api_docs: bool,
    cors_origins: Sequence[str] = (),
    extra_routes: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Build the application. `extra_routes` come last, such as the sandbox's page."""
    description = Description(
        title="Ticketgate",
        version=__version__,
        description="A WeChat mini-program login through Authing becomes a session of your app.",
        license_info={"name": "MIT", "identifier": "MIT"},
        openapi_url="/openapi.json" if api_docs else None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    description.services = services
    routes = description.router.routes
    for router in _ROUTERS + (_WITH_SERVICE_KEYS if services.service_keys else ()):
        routes.extend(router.routes)
    if services.webhook_secrets:
        routes.extend(webhooks.router.routes)
    if services.issuer_path:
        routes.extend(public.discovery_below(services.issuer_path).routes)
    if api_docs:
        # Swagger UI comes from files of a package: no script of a CDN can read the bearer token.
        parameters = {"persistAuthorization": False}
        patch_fastapi(
            description, redirect_from_root_to_docs=False, swagger_ui_parameters=parameters
        )
    routes.extend(extra_routes)
    return RequestContext(Dispatcher(description), services.events, cors_origins)
