"""How every route reads a request: exact paths, strict JSON, no repeated parameters.

These checks stand in a route class and not in a middleware, so that an unknown path is 404 with
any content.
"""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope
from typing_extensions import override

from app.api.bodies import check_media_type
from app.errors import MalformedRequest
from app.jose.strict_json import StrictJsonError, loads

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class StrictRoute(APIRoute):
    """A route at exactly its path, whose requests can be read in one way only.

    The body, if the route takes one, must be strict JSON labelled `application/json`; a byte order
    mark before it is skipped. A query
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


def new_router(tag: str, prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router of strict routes, which `/docs` shows under the tag.

    The id of an operation is the name of its function.
    """
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        dependencies=dependencies,
        route_class=StrictRoute,
        generate_unique_id_function=lambda route: route.name,
    )


async def _decode_body(request: Request) -> None:
    check_media_type(request)
    # FastAPI reads the label once more, in the same list, and knows fewer forms of it.
    MutableHeaders(raw=request.scope["headers"])["Content-Type"] = "application/json"
    try:
        value = loads((await request.body()).removeprefix(_BYTE_ORDER_MARK), mended="device")
    except StrictJsonError:
        raise MalformedRequest from None
    # Where Request.json() keeps its result: FastAPI takes this value and does not decode again.
    request._json = value  # noqa: SLF001
