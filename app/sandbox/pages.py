"""The page `/sandbox`, which plays the phone and the mini program, and the control API.

The page is the files in `static`, served as they are under a strict Content-Security-Policy.
The control API issues tickets, changes switches, sets faults and returns counts, as JSON without
secrets. It refuses other input with 422 and `{"error": "member: rule"}`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.personas import FAMILIAR, Persona
from app.sandbox.state import (
    SWITCHES,
    BadInput,
    Consent,
    Fault,
    SandboxState,
    ServiceChoice,
    Standing,
    json_object,
)

Command = Callable[[Mapping[str, Any]], dict[str, Any] | Awaitable[dict[str, Any]]]

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


def control_routes(state: SandboxState) -> list[Route]:
    """Return the routes of the control API."""
    control = Control(state)
    return [
        ControlRoute("POST", "/sandbox/tickets", control.issue_ticket, {"persona": "lin"}),
        ControlRoute("GET", "/sandbox/settings", control.settings),
        ControlRoute("PATCH", "/sandbox/settings", control.change_settings, {"shape": "bare"}),
        ControlRoute("PUT", "/sandbox/fault", control.set_fault, {"kind": "http_503", "times": 1}),
        ControlRoute("DELETE", "/sandbox/fault", control.clear_fault),
        ControlRoute("PUT", "/sandbox/status", control.set_status, {"status": "Suspended"}),
        ControlRoute("GET", "/sandbox/stats", control.stats),
    ]


class ControlRoute(Route):
    """A route of the control API. `operations` is its OpenAPI description, by method.

    The server adds that to its own. `example` is a body that works.
    """

    def __init__(
        self, method: str, path: str, command: Command, example: dict[str, Any] | None = None
    ) -> None:
        super().__init__(path, _endpoint(command), methods=[method])
        json_object = {"content": {"application/json": {"schema": {"type": "object"}}}}
        operation: dict[str, Any] = {
            "operationId": f"sandbox_{command.__name__}",
            "summary": command.__doc__,
            "tags": ["sandbox"],
            "responses": {"200": {"description": "Done", **json_object}},
        }
        if example is not None:
            body = {"schema": {"type": "object"}, "example": example}
            operation["requestBody"] = {"content": {"application/json": body}}
            operation["responses"]["422"] = {"description": "Wrong input", **json_object}
        self.operations = {method.lower(): operation}


class Control:
    """The commands: each takes and returns a JSON object, or raises BadInput."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def issue_ticket(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Play the mini program: `{persona?, get_phone?, approve?, expired?}`."""
        only(body, ("persona", "get_phone", "approve", "expired"))
        return mini_program_answer(self._state, Consent(**body))

    def settings(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the switches."""
        return {name: getattr(self._state.options, name) for name in SWITCHES}

    def change_settings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change all given switches or none; return all switches."""
        only(body, SWITCHES)
        self._state.options = replace(self._state.options, **body)
        return self.settings(body)

    def set_fault(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Set a fault: `{kind, times?, seconds?}`."""
        only(body, ("kind", "times", "seconds", "of"))
        self._state.fault = Fault(**{"kind": "", **body})
        return asdict(self._state.fault)

    def clear_fault(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """End the fault."""
        self._state.fault = Fault()
        return asdict(self._state.fault)

    def set_status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Suspend or delete a user: `{persona?, status}`."""
        only(body, ("persona", "status"))
        standing = Standing(**{"status": "", **body})
        self._state.statuses[Persona.named(standing.persona).user_id] = standing.status
        return asdict(standing)

    def stats(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the counts so far."""
        names = ("tickets_issued", "exchanges", "logins", "jwks_reads", "users_read")
        counts = {name: getattr(self._state, name) for name in names}
        return {**counts, "fault": asdict(self._state.fault)}


def mini_program_answer(state: SandboxState, consent: Consent) -> dict[str, Any]:
    """Return what the mini program gives to the app, and the ticket by itself.

    `ext_msg` is the string that WeChat delivers: a query string with unencoded Chinese.
    """
    pool = {"user_pool_id": state.options.user_pool_id}
    if not consent.approve:
        return {"ext_msg": "code=400&message=用户取消授权", **pool}
    ticket = state.issue(consent)
    ext_msg = f"code=200&message=授权成功&ticket={ticket}"
    return {"ticket": ticket, "ext_msg": ext_msg, "expires_in": state.options.ticket_ttl, **pool}


def _from_another_site(request: Request) -> bool:
    """Whether a page of another site sends this. A browser tells by one of two headers.

    `Sec-Fetch-Site` (Fetch Metadata) is sent to this machine and over TLS, `Origin` to all others.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")


def refusal(error: BadInput) -> Response:
    """Return the response to bad input."""
    return JSONResponse({"error": str(error)}, 422)


def _endpoint(command: Command) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if _from_another_site(request):
            return JSONResponse({"error": "origin: only pages of this server"}, 403)
        try:
            content = command(_members(await request.body()))
            return JSONResponse(await content if isawaitable(content) else content)
        except BadInput as error:
            return refusal(error)

    return endpoint


def _members(body: bytes) -> Mapping[str, Any]:
    members = json_object(body or b"{}")
    if members is None:
        raise BadInput("body: one JSON object")
    return members


def only(body: Mapping[str, Any], members: tuple[str, ...]) -> None:
    """Raise BadInput if the body has other members."""
    if not body.keys() <= set(members):
        raise BadInput(f"body: only the members {', '.join(members)}")


def page_routes() -> list[Route]:
    """Return the routes of the page's files. `/` leads to the page."""
    files = [path for path in sorted(_STATIC.iterdir()) if path.suffix in _MEDIA_TYPES]
    index = _file(_STATIC / "index.html")

    async def home(_request: Request) -> Response:
        return RedirectResponse("/sandbox", 303)

    return [
        Route("/", home),
        Route("/favicon.ico", _file(_STATIC / "icon.svg")),  # for pages that name none
        *(Route(path, index) for path in ("/sandbox", "/sandbox/")),
        *(Route(f"/sandbox/{path.name}", _file(path)) for path in files),
    ]


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    content, media_type = path.read_bytes(), _MEDIA_TYPES[path.suffix]

    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return endpoint


def service_route(state: SandboxState) -> Route:
    """Return the route through which the page reads and changes the service itself.

    The fake Authing alone does not have it, because there is no service around it.
    """

    async def endpoint(request: Request) -> Response:
        return await _endpoint(partial(_service, state, request.app.state))(request)

    return Route("/sandbox/api/service", endpoint, methods=["GET", "PATCH"])


def _service(state: SandboxState, app_state: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change `one_per_device_type`, if it is given; return what the page needs to know."""
    only(changes, ("one_per_device_type",))
    services = app_state.services
    if changes:
        limits = replace(services.logins.limits, **asdict(ServiceChoice(**changes)))
        logins = replace(services.logins, limits=limits)
        app_state.services = services = replace(services, logins=logins)
    return {
        "one_per_device_type": services.logins.limits.one_per_device_type,
        "personas": dict(FAMILIAR),
        "service_key": state.options.service_key,
        "graded": state.options.graded,
    }
