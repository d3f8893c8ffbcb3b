"""A fake Authing with real behaviour, for trying Ticketgate out and for testing it.

It issues tickets, checks the pool secret, spends a ticket once, signs real tokens and fails on
demand. It is an independent witness: it knows nothing of the rest of the product, neither its
client nor its verification, and must stay so. It is no part of production.
"""

from dataclasses import dataclass

from starlette.routing import Router

from app.sandbox.authing import authing_routes
from app.sandbox.control import control_routes
from app.sandbox.options import Consent, Fault, SandboxOptions
from app.sandbox.page import page_routes
from app.sandbox.state import SandboxState

__all__ = ["Consent", "Fault", "Sandbox", "SandboxOptions", "SandboxState", "create_sandbox"]


@dataclass(frozen=True)
class Sandbox:
    """One fake Authing, as three ASGI apps over the same state.

    `authing` is the upstream: the exchange and the JWKS. `pages` is the page and the control API;
    its routes carry their whole path, so they join another server with
    `server.router.routes.extend(sandbox.pages.routes)`: a Mount would not answer `/sandbox` itself.
    `app` is both, for a port of its own.
    """

    state: SandboxState
    authing: Router
    pages: Router
    app: Router


def create_sandbox(options: SandboxOptions) -> Sandbox:
    """Build a sandbox with a state of its own. No lifespan is needed."""
    state = SandboxState(options)
    upstream = authing_routes(state)
    pages = [*page_routes(state), *control_routes(state)]
    # Bare routers, not Starlette applications, whose middleware would wrap the `send` through
    # which a fault reaches the connection.
    return Sandbox(
        state=state,
        authing=Router(upstream, redirect_slashes=False),
        pages=Router(pages, redirect_slashes=False),
        app=Router([*upstream, *pages], redirect_slashes=False),
    )
