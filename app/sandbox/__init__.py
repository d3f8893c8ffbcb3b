"""A fake Authing with real behaviour, for trying Ticketgate out and for testing it.

It issues tickets, checks the pool secret, accepts a ticket once, signs real tokens and fails on
demand. It imports nothing else of the product, neither the client nor the verification, so that it
tests both independently. It is not part of production.
"""

from dataclasses import dataclass

from starlette.routing import Router

from app.sandbox.authing import authing_routes
from app.sandbox.pages import control_routes, page_routes
from app.sandbox.state import Consent, Fault, SandboxOptions, SandboxState

__all__ = ["Consent", "Fault", "Sandbox", "SandboxOptions", "SandboxState", "create_sandbox"]


@dataclass(frozen=True)
class Sandbox:
    """One fake Authing, as three ASGI apps over the same state.

    `authing` is the upstream: the exchange and the JWKS. `pages` is the page and the control API;
    its routes have their whole path, so they join another server with
    `server.router.routes.extend(sandbox.pages.routes)`: a Mount would not answer `/sandbox` itself.
    `app` is both, for a separate port.
    """

    state: SandboxState
    authing: Router
    pages: Router
    app: Router


def create_sandbox(options: SandboxOptions) -> Sandbox:
    """Build a sandbox with its own state. It needs no lifespan."""
    state = SandboxState(options)
    upstream = authing_routes(state)
    pages = [*page_routes(state), *control_routes(state)]
    # Bare routers, because a Starlette application's middleware would wrap the `send` through which
    # a fault reaches the connection.
    return Sandbox(
        state=state,
        authing=Router(upstream, redirect_slashes=False),
        pages=Router(pages, redirect_slashes=False),
        app=Router([*upstream, *pages], redirect_slashes=False),
    )
