"""The control API under `/sandbox`: issue tickets, turn switches, make faults, read counts.

JSON in, JSON out, no secrets out. What is not understood is refused with 422 and
`{"error": "member: rule"}`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.sandbox.json_body import json_object
from app.sandbox.options import SWITCHES, BadInput, Consent, Fault
from app.sandbox.state import SandboxState

Command = Callable[[Mapping[str, Any]], dict[str, Any]]


def control_routes(state: SandboxState) -> list[Route]:
    """Give the routes of the control API."""
    control = Control(state)
    table: list[tuple[str, str, Command]] = [
        ("POST", "/sandbox/tickets", control.issue_ticket),
        ("GET", "/sandbox/settings", control.settings),
        ("PATCH", "/sandbox/settings", control.change_settings),
        ("PUT", "/sandbox/fault", control.set_fault),
        ("DELETE", "/sandbox/fault", control.clear_fault),
        ("GET", "/sandbox/stats", control.stats),
    ]
    return [Route(path, _endpoint(command), methods=[method]) for method, path, command in table]


class Control:
    """The commands: each takes a JSON object and gives one, or raises BadInput."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def issue_ticket(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Play the mini program: `{persona?, get_phone?, approve?}`."""
        _only(body, ("persona", "get_phone", "approve"))
        return mini_program_answer(self._state, Consent(**body))

    def settings(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the switches."""
        return {name: getattr(self._state.options, name) for name in SWITCHES}

    def change_settings(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Turn some switches, all or none; tell them all."""
        _only(body, SWITCHES)
        self._state.options = replace(self._state.options, **body)
        return self.settings(body)

    def set_fault(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let exchanges go wrong: `{kind, times?, seconds?}`."""
        _only(body, ("kind", "times", "seconds"))
        self._state.fault = Fault(**{"kind": "", **body})
        return asdict(self._state.fault)

    def clear_fault(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Let all be well again."""
        self._state.fault = Fault()
        return asdict(self._state.fault)

    def stats(self, _body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell what has happened so far."""
        names = ("tickets_issued", "exchanges", "logins", "jwks_reads")
        counts = {name: getattr(self._state, name) for name in names}
        return {**counts, "fault": asdict(self._state.fault)}


def mini_program_answer(state: SandboxState, consent: Consent) -> dict[str, Any]:
    """Give what the mini program hands back to the app, and the ticket in it on its own.

    `ext_msg` is the string that WeChat delivers: a query string with raw Chinese in it.
    """
    pool = {"user_pool_id": state.options.user_pool_id}
    if not consent.approve:
        return {"ext_msg": "code=400&message=用户取消授权", **pool}
    ticket = state.issue(consent)
    ext_msg = f"code=200&message=授权成功&ticket={ticket}"
    return {
        "ticket": ticket,
        "ext_msg": ext_msg,
        "expires_in": state.options.ticket_ttl,
        **pool,
    }


def refusal(error: BadInput) -> Response:
    """Say what is wrong with the input."""
    return JSONResponse({"error": str(error)}, 422)


def _endpoint(command: Command) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(command(_members(await request.body())))
        except BadInput as error:
            return refusal(error)

    return endpoint


def _members(body: bytes) -> Mapping[str, Any]:
    members = json_object(body or b"{}")
    if members is None:
        raise BadInput("body: one JSON object")
    return members


def _only(body: Mapping[str, Any], members: tuple[str, ...]) -> None:
    if not body.keys() <= set(members):
        raise BadInput(f"body: only the members {', '.join(members)}")
