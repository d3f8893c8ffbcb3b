"""The FastAPI application: routes, error handlers and middleware in one place."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from app import __version__
from app.api.deps import Services
from app.api.middleware import RejectEarly, RequestContext
from app.api.openapi import completed
from app.api.problems import answer_error, answer_framework, answer_validation
from app.api.routes import health, internal, launch, me, sessions, well_known
from app.errors import TicketgateError

_ROUTERS = (launch.router, sessions.router, me.router, well_known.router, health.router)


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        return completed(super().openapi())


def build_app(
    services: Services, *, api_docs: bool, extra_routes: Sequence[BaseRoute] = ()
) -> FastAPI:
    """Put the application together. `extra_routes` come last; the sandbox's page is one."""
    application = _Application(
        title="Ticketgate",
        version=__version__,
        openapi_url="/openapi.json" if api_docs else None,
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
        middleware=[Middleware(RequestContext, events=services.events), Middleware(RejectEarly)],
        exception_handlers={
            TicketgateError: answer_error,
            RequestValidationError: answer_validation,
            HTTPException: answer_framework,
        },
    )
    application.state.services = services
    # One flat list instead of include_router: `Allow` is found by asking each route.
    internal_routers = (internal.router,) if services.service_keys else ()
    for router in (*_ROUTERS, *internal_routers):
        application.router.routes.extend(router.routes)
    if api_docs:
        # Swagger UI from the package's own files: a page with a bearer token loads no CDN's script.
        parameters = {"persistAuthorization": False}
        patch_fastapi(
            application, redirect_from_root_to_docs=False, swagger_ui_parameters=parameters
        )
    application.router.routes.extend(extra_routes)
    return application
