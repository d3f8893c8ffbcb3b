"""A fake Authing with real behaviour, for trying Ticketgate out and for testing it.

It issues tickets, checks the pool secret, accepts a ticket once, signs real tokens and fails on
demand. It imports nothing else of the product, neither the client nor the verification, so that it
tests both independently. It is not part of production.
"""

import math

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import ASGIApp

from app.sandbox.authing import authing_routes
from app.sandbox.control import control_routes, page_routes, service_route
from app.sandbox.faults import Answering, Refusals, answer_with_fault
from app.sandbox.state import NO_FAULT, Consent, Fault, SandboxOptions, SandboxState

__all__ = ["NO_FAULT", "Consent", "Fault", "Sandbox", "SandboxOptions", "SandboxState"]


class Sandbox:
    """One fake Authing with its own state. It needs no lifespan.

    `app` is the exchange, the JWKS, the page and the control API over one state. `pages` are the
    routes of the last two, with their whole path, so that the service can have them too: a Mount
    would not answer `/sandbox` itself. Among them is one more, which changes that service.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.state = SandboxState(options)
        pages = [*page_routes(), *control_routes(self.state)]
        # A bare router, because a Starlette application's middleware would wrap the `send` through
        # which a fault reaches the connection.
        self.app = Router([*authing_routes(self.state), *pages], redirect_slashes=False)
        self.pages = [*pages, service_route(self.state)]

    def around(self, service: ASGIApp, refusals: Refusals) -> ASGIApp:
        """Return the service with the faults of its answers."""

        async def answer(request: Request) -> Response:
            fault = self.state.next_fault("answers")
            refused = refusals(math.ceil(fault.seconds))
            return await answer_with_fault(fault.kind, fault.seconds, refused, request, service)

        return Answering(answer, service)
