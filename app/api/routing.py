"""How every route reads a request: exact paths, strict JSON, no repeated parameters.

These checks stand in a route class and not in a middleware, so that an unknown path is 404 with
any content.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope
from typing_extensions import override

from app.errors import MalformedRequest, UnsupportedMediaType
from app.jose.strict_json import StrictJsonError, loads

_JSON_MEDIA_TYPE = re.compile(r'(?i)application/json[ \t]*(;[ \t]*charset=("?)utf-8\2[ \t]*)?')


class StrictRoute(APIRoute):
    """A route at exactly its path, whose requests can be read in one way only.

    The body, if the route takes one, must be strict JSON labelled `application/json`. A query
    parameter that the route reads may be given once. MalformedRequest and UnsupportedMediaType are
    raised before any dependency runs.
    """

    @override
    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Starlette's patterns end in `$`, which also matches before a final newline.
        if scope["path"].endswith("\n"):
            return Match.NONE, {}
        return super().matches(scope)

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        parameters = [field.alias for field in self.dependant.query_params]

        async def handle_strictly(request: Request) -> Response:
            if any(len(request.query_params.getlist(name)) > 1 for name in parameters):
                raise MalformedRequest
            if self.body_field is not None:
                await _decode_body(request)
            return await handle(request)

        return handle_strictly


def new_router(prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router of strict routes. The id of an operation is the name of its function."""
    return APIRouter(
        prefix=prefix,
        dependencies=dependencies,
        route_class=StrictRoute,
        generate_unique_id_function=lambda route: route.name,
    )


async def _decode_body(request: Request) -> None:
    _check_media_type(request)
    try:
        value = loads(await request.body())
    except StrictJsonError:
        raise MalformedRequest from None
    # Where Request.json() keeps its result: FastAPI takes this value and does not decode again.
    request._json = value  # noqa: SLF001


def _check_media_type(request: Request) -> None:
    labels = request.headers.getlist("content-type")
    encodings = {encoding.lower() for encoding in request.headers.getlist("content-encoding")}
    # Of two labels a proxy may have believed the other.
    if len(labels) != 1 or not _JSON_MEDIA_TYPE.fullmatch(labels[0]) or encodings - {"identity"}:
        raise UnsupportedMediaType
