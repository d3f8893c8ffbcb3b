"""The page `/sandbox`, which plays the phone and the mini program, and the control API.

The page is the files in `static`, served as they are under a strict Content-Security-Policy.
The control API issues tickets, changes switches, sets faults and returns counts, as JSON without
secrets. It refuses other input with 422 and `{"error": "member: rule"}`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.personas import FAMILIAR
from app.sandbox.state import STRICT, Consent, Fault, SandboxState, Standing

Command = Callable[..., dict[str, Any] | Awaitable[dict[str, Any]]]
"""A command of the control API; its parameter, if it has one, is the request's body."""

_STATIC = Path(__file__).with_name("static")
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, config=STRICT)
class ServiceChoice:
    """A setting of the service that the page changes while it runs."""

    one_per_device_type: bool | None = None


class ControlRoute(Route):
    """A route of the control API: a command that takes and returns a JSON object.

    `body` is the type that it takes, and `example` has members that work. `operations` is the
    OpenAPI description by method, which the server adds to its own.
    """

    def __init__(self, line: str, command: Command, body: Any = None, **example: Any) -> None:
        method, path = line.split()
        super().__init__(path, partial(_respond, command, body), methods=[method])
        operation: dict[str, Any] = {
            "operationId": f"sandbox_{command.__name__}",
            "summary": command.__doc__,
            "tags": ["sandbox"],
            "responses": {"200": {"description": "Done"}},
        }
        if example:
            content = {"schema": {"type": "object"}, "example": example}
            operation["requestBody"] = {"content": {"application/json": content}}
            operation["responses"]["422"] = {"description": "Wrong input"}
        self.operations = {method.lower(): operation}


async def _respond(command: Command, body: Any, request: Request) -> Response:
    if _is_from_another_site(request):
        return JSONResponse({"error": "origin: only pages of this server"}, 403)
    try:
        given = await request.body() or b"{}"
        content = command(TypeAdapter(body).validate_json(given)) if body else command()
        return JSONResponse(await content if isawaitable(content) else content)
    except ValidationError as error:
        wrong = error.errors()[0]
        member = wrong["loc"][0] if wrong["loc"] else "body"
        return JSONResponse({"error": f"{member}: {wrong['msg']}"}, 422)


def _is_from_another_site(request: Request) -> bool:
    """Whether a page of another site sends this. A browser tells by one of two headers.

    `Sec-Fetch-Site` (Fetch Metadata) is sent to this machine and over TLS, `Origin` to all others.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")


def control_routes(state: SandboxState) -> list[Route]:
    """Return the routes of the control API, whose commands are methods of the state."""
    route = ControlRoute
    return [
        route("POST /sandbox/tickets", state.issue_ticket, Consent, persona="lin"),
        route("GET /sandbox/settings", state.settings),
        route("PATCH /sandbox/settings", state.change_settings, dict, shape="bare"),
        route("GET /sandbox/fault", state.read_fault),
        route("PUT /sandbox/fault", state.set_fault, Fault, kind="http_503", times=1),
        route("DELETE /sandbox/fault", state.clear_fault),
        route("PUT /sandbox/status", state.set_status, Standing, status="Suspended"),
        route("GET /sandbox/stats", state.stats),
    ]


def service_route(state: SandboxState) -> Route:
    """Return the route through which the page reads and changes the service itself.

    The fake Authing alone does not have it, because there is no service around it.
    """

    async def endpoint(request: Request) -> Response:
        command = partial(_service, state, request.app)
        return await _respond(command, ServiceChoice, request)

    return Route("/sandbox/api/service", endpoint, methods=["GET", "PATCH"])


def _service(state: SandboxState, app: Any, choice: ServiceChoice) -> dict[str, Any]:
    logins = app.services.logins
    if choice.one_per_device_type is not None:
        logins = replace(logins, limits=replace(logins.limits, **asdict(choice)))
        app.services = replace(app.services, logins=logins)
    return {
        "one_per_device_type": logins.limits.one_per_device_type,
        "personas": dict(FAMILIAR),
        "service_key": state.options.service_key,
        "graded": state.options.graded,
    }


def page_routes() -> list[Route]:
    """Return the routes of the page's files. `/` leads to the page."""
    responses: dict[str, Response] = {
        f"/sandbox/{path.name}": Response(
            path.read_bytes(), media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS
        )
        for path in sorted(_STATIC.iterdir())
    }
    responses |= dict.fromkeys(("/sandbox", "/sandbox/"), responses["/sandbox/index.html"])
    responses["/favicon.ico"] = responses["/sandbox/icon.svg"]  # for pages that name none
    responses["/"] = RedirectResponse("/sandbox", 303)
    return [Route(at, partial(_respond_with, response)) for at, response in responses.items()]


async def _respond_with(response: Response, _request: Request) -> Response:
    return response
