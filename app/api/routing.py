"""How every router of this API is made."""

from collections.abc import Sequence

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute

from app.api.strict_body import StrictBodyRoute


def new_router(prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router with strict JSON bodies, whose operations are called as their functions are."""
    return APIRouter(
        prefix=prefix,
        dependencies=dependencies,
        route_class=StrictBodyRoute,
        generate_unique_id_function=_name,
    )


def _name(route: APIRoute) -> str:
    return route.name
