"""The page `/sandbox`, which plays the phone and the mini program, and the control API.

The page is the files in `static`, served as they are under a strict Content-Security-Policy.
The control API issues tickets, changes switches, sets faults and returns counts, as JSON without
secrets. It refuses other input with 422 and `{"error": "member: rule"}`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields, replace
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from app.sandbox.personas import FAMILIAR, Persona
from app.sandbox.state import (
    ANSWER_FAULTS,
    AUTHING_FAULTS,
    NO_FAULT,
    STRICT,
    Consent,
    DeskFaults,
    Fault,
    Name,
    SandboxState,
    Status,
    Switches,
)

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
class Standing:
    """Whether a persona may sign in. Authing does not know one that is `Deleted`."""

    status: Status
    persona: Name = "lin"


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
        async def endpoint(request: Request) -> Response:
            return await _respond(request, command, body)

        method, path = line.split()
        super().__init__(path, endpoint, methods=[method])
        json_object = {"content": {"application/json": {"schema": {"type": "object"}}}}
        operation: dict[str, Any] = {
            "operationId": f"sandbox_{command.__name__}",
            "summary": command.__doc__,
            "tags": ["sandbox"],
            "responses": {"200": {"description": "Done", **json_object}},
        }
        if example:
            content = {"schema": {"type": "object"}, "example": example}
            operation["requestBody"] = {"content": {"application/json": content}}
            operation["responses"]["422"] = {"description": "Wrong input", **json_object}
        self.operations = {method.lower(): operation}


async def _respond(request: Request, command: Command, body: Any = None) -> Response:
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


class Control:
    """The commands of the control API."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes of the commands."""
        route = ControlRoute
        return [
            route("POST /sandbox/tickets", self.issue_ticket, Consent, persona="lin"),
            route("GET /sandbox/settings", self.settings),
            route("PATCH /sandbox/settings", self.change_settings, dict, shape="bare"),
            route("PUT /sandbox/fault", self.set_fault, Fault, kind="http_503", times=1),
            route("DELETE /sandbox/fault", self.clear_fault),
            route("PUT /sandbox/status", self.set_status, Standing, status="Suspended"),
            route("GET /sandbox/stats", self.stats),
            route("GET /sandbox/api/faults", self.faults),
            route("PUT /sandbox/api/faults", self.set_faults, DeskFaults, answers="429", times=1),
        ]

    def issue_ticket(self, consent: Consent) -> dict[str, Any]:
        """Play the mini program: `{persona?, get_phone?, approve?, expired?}`."""
        return mini_program_answer(self._state, consent)

    def settings(self) -> dict[str, Any]:
        """Return the switches."""
        return {each.name: getattr(self._state.options, each.name) for each in fields(Switches)}

    def change_settings(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Change all given switches or none; return all switches."""
        switches = Switches(**{**self.settings(), **changes})
        self._state.options = replace(self._state.options, **asdict(switches))
        return self.settings()

    def set_fault(self, fault: Fault) -> dict[str, Any]:
        """Set a fault: `{kind, times?, seconds?, of?}`."""
        self._state.fault = fault
        return asdict(fault)

    def clear_fault(self) -> dict[str, Any]:
        """End the fault."""
        return self.set_fault(NO_FAULT)

    def set_status(self, standing: Standing) -> dict[str, Any]:
        """Suspend or delete a user: `{persona?, status}`."""
        self._state.statuses[Persona(standing.persona).user_id] = standing.status
        return asdict(standing)

    def stats(self) -> dict[str, Any]:
        """Return the counts so far."""
        names = ("tickets_issued", "exchanges", "logins", "jwks_reads", "users_read")
        counts = {name: getattr(self._state, name) for name in names}
        return {**counts, "fault": asdict(self._state.fault)}

    def faults(self) -> dict[str, Any]:
        """Return the two faults that are set, and the names of all faults."""
        names = {kind: name for name, kind in AUTHING_FAULTS.items()}
        return {
            "authing": names.get(self._state.fault.kind),
            "answers": self._state.answers.answers,
            "choices": {"authing": list(AUTHING_FAULTS), "answers": list(ANSWER_FAULTS)},
        }

    def set_faults(self, faults: DeskFaults) -> dict[str, Any]:
        """Set both faults, or end the absent one: `{authing?, answers?, times?, seconds?}`."""
        kind = AUTHING_FAULTS.get(faults.authing or "", "none")
        self._state.fault = Fault(kind, faults.times, faults.seconds)
        self._state.answers = faults
        return self.faults()


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


def service_route(state: SandboxState) -> Route:
    """Return the route through which the page reads and changes the service itself.

    The fake Authing alone does not have it, because there is no service around it.
    """

    async def endpoint(request: Request) -> Response:
        def choose(choice: ServiceChoice) -> dict[str, Any]:
            services = request.app.state.services
            if choice.one_per_device_type is not None:
                limits = replace(services.logins.limits, **asdict(choice))
                services = replace(services, logins=replace(services.logins, limits=limits))
                request.app.state.services = services
            return {
                "one_per_device_type": services.logins.limits.one_per_device_type,
                "personas": dict(FAMILIAR),
                "service_key": state.options.service_key,
                "graded": state.options.graded,
            }

        return await _respond(request, choose, ServiceChoice)

    return Route("/sandbox/api/service", endpoint, methods=["GET", "PATCH"])


def page_routes() -> list[Route]:
    """Return the routes of the page's files. `/` leads to the page."""
    files = {f"/sandbox/{path.name}": path for path in _STATIC.iterdir()}
    files |= dict.fromkeys(("/sandbox", "/sandbox/"), _STATIC / "index.html")
    files["/favicon.ico"] = _STATIC / "icon.svg"  # for pages that name none
    responses: dict[str, Response] = {
        at: Response(path.read_bytes(), media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS)
        for at, path in sorted(files.items())
        if path.suffix in _MEDIA_TYPES
    }
    responses["/"] = RedirectResponse("/sandbox", 303)
    return [Route(at, partial(_respond_with, response)) for at, response in responses.items()]


async def _respond_with(response: Response, _request: Request) -> Response:
    return response
