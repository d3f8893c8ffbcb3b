"""How every router of this API is made."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from app.api.strict_body import StrictBodyRoute


class ExactRoute(StrictBodyRoute):
    """A route with a strict body, at exactly its path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the request is for this route."""
        # Starlette's patterns end in `$`, which also matches before a final newline.
        if scope["path"].endswith("\n"):
            return Match.NONE, {}
        return super().matches(scope)


def new_router(prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router with exact paths and strict bodies; an operation is called as its function is."""
    return APIRouter(
        prefix=prefix,
        dependencies=dependencies,
        route_class=ExactRoute,
        generate_unique_id_function=_name,
    )


def _name(route: APIRoute) -> str:
    return route.name
