"""Builds the FastAPI application from its routes, error handlers and middleware."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from typing_extensions import override

from app import __version__
from app.api.deps import Services
from app.api.middleware import RequestContext
from app.api.openapi import complete
from app.api.problems import handle_error, handle_http_exception, handle_validation_error
from app.api.routes import health, internal, public, sessions
from app.errors import TicketgateError

_ROUTERS = (public.router, sessions.router, health.router)


class _Application(FastAPI):
    @override
    def openapi(self) -> dict[str, Any]:
        document = complete(super().openapi())
        for route in self.routes:
            # An extra route may bring its Operation Object, such as those of the sandbox.
            for method, operation in getattr(route, "operations", {}).items():
                document["paths"].setdefault(getattr(route, "path", ""), {})[method] = operation
        return document


def build_app(
    services: Services,
    *,
    api_docs: bool,
    cors_origins: Sequence[str] = (),
    extra_routes: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Build the application. `extra_routes` come last, such as the sandbox's page."""
    application = _Application(
        title="Ticketgate",
        version=__version__,
        openapi_url="/openapi.json" if api_docs else None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        middleware=[Middleware(RequestContext, events=services.events, cors_origins=cors_origins)],
        exception_handlers={
            TicketgateError: handle_error,
            RequestValidationError: handle_validation_error,
            HTTPException: handle_http_exception,
        },
    )
    application.state.services = services
    # One flat list instead of include_router: `Allow` is found by asking each route.
    internal_routers = (internal.router,) if services.service_keys else ()
    for router in (*_ROUTERS, *internal_routers):
        application.router.routes.extend(router.routes)
    if services.issuer_path:
        application.router.routes.extend(public.discovery_below(services.issuer_path).routes)
    if api_docs:
        # Swagger UI comes from files of a package: no script of a CDN can read the bearer token.
        parameters = {"persistAuthorization": False}
        patch_fastapi(
            application, redirect_from_root_to_docs=False, swagger_ui_parameters=parameters
        )
    application.router.routes.extend(extra_routes)
    return application
