"""A fake Authing with real behaviour, for trying Ticketgate out and for testing it.

It issues tickets, checks the pool secret, accepts a ticket once, signs real tokens and fails on
demand. It imports nothing else of the product, neither the client nor the verification, so that it
tests both independently. It is not part of production.
"""

from dataclasses import dataclass

from starlette.routing import Route, Router

from app.sandbox.authing import authing_routes
from app.sandbox.faults import FaultDesk, fault_routes
from app.sandbox.pages import control_routes, page_routes, service_route
from app.sandbox.state import Consent, Fault, SandboxOptions, SandboxState

__all__ = ["Consent", "Fault", "Sandbox", "SandboxOptions", "SandboxState", "create_sandbox"]


@dataclass(frozen=True)
class Sandbox:
    """One fake Authing.

    `app` is the exchange, the JWKS, the page and the control API over one state. `pages` are the
    routes of the last two, with their whole path, so that the service can have them too: a Mount
    would not answer `/sandbox` itself. Among them is one more, which changes that service. `desk`
    has the faults of the service's own answers.
    """

    state: SandboxState
    app: Router
    pages: list[Route]
    desk: FaultDesk


def create_sandbox(options: SandboxOptions) -> Sandbox:
    """Build a sandbox with its own state. It needs no lifespan."""
    state = SandboxState(options)
    desk = FaultDesk(state)
    pages = [*page_routes(), *control_routes(state), *fault_routes(desk)]
    # A bare router, because a Starlette application's middleware would wrap the `send` through
    # which a fault reaches the connection.
    app = Router([*authing_routes(state), *pages], redirect_slashes=False)
    return Sandbox(state, app, [*pages, service_route(state)], desk)
