"""Request bodies: labelled as JSON, and read under the strict rules before pydantic sees them.

A route class instead of a middleware, so that an unknown path is a 404 whatever was sent to it.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from app.errors import MalformedRequest, UnsupportedMediaType
from app.jose.strict_json import StrictJsonError, loads

_JSON_LABEL = re.compile(r'(?i)application/json[ \t]*(;[ \t]*charset=("?)utf-8\2[ \t]*)?')


class StrictBodyRoute(APIRoute):
    """A route whose body, if it takes one, must be strict JSON labelled `application/json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put the check before FastAPI's own handling; it then parses what has been checked."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def check_then_handle(request: Request) -> Response:
            _check_media_type(request)
            try:
                loads(await request.body())
            except StrictJsonError:
                raise MalformedRequest from None
            return await handle(request)

        return check_then_handle


def _check_media_type(request: Request) -> None:
    labels = request.headers.getlist("content-type")
    encodings = {encoding.lower() for encoding in request.headers.getlist("content-encoding")}
    # Of two labels a proxy may have believed the other.
    if len(labels) != 1 or not _JSON_LABEL.fullmatch(labels[0]) or encodings - {"identity"}:
        raise UnsupportedMediaType
