"""Finds the route of a request, fetches what its function asks for, and encodes the result.

FastAPI reads the signatures and describes them (OpenAPI). Its solver, its validation of responses
and Starlette's layers are not run: they cost a request more than all of our own work
(docs/decisions/0020-our-own-dispatcher.md).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from re import Pattern
from typing import Any, NamedTuple, TypeAlias

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from app.api.bodies import read_json
from app.api.middleware import Respond
from app.errors import FieldError, InvalidRequest, MalformedRequest, MethodNotAllowed, NotFound

_Input: TypeAlias = tuple[Any, object, tuple[str, ...]]
"""A field of FastAPI, the value that is given for it, and the place of that value."""
ANY_METHOD = "*"
"""Among the methods of a route: it answers those that no other route of its path answers."""


def new_router(tag: str, prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router of routes that `/docs` shows under the tag.

    The id of an operation is the name of its function.
    """
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        dependencies=dependencies,
        generate_unique_id_function=lambda route: route.name,
    )


class _Path(NamedTuple):
    """A path template, and what responds to each of its methods."""

    path: str
    methods: dict[str, Respond]


class Dispatcher:
    """Responds to requests with the routes of a FastAPI object, which describes them.

    Paths are exact. A path without parameters has precedence.
    """

    def __init__(self, described: FastAPI) -> None:
        self._described = described
        self._exact: dict[str, _Path] = {}
        self._templates: dict[str, tuple[Pattern[str], _Path]] = {}
        for route in described.routes:
            self._add(route)

    def _add(self, route: Any) -> None:
        found = _Path(route.path, {})
        if route.param_convertors:
            pattern = re.compile(route.path_regex.pattern, re.DOTALL)  # %0a is a character too
            _, found = self._templates.setdefault(route.path, (pattern, found))
        else:
            found = self._exact.setdefault(route.path, found)
        respond = Operation(route) if isinstance(route, APIRoute) else route.endpoint
        for method in route.methods:
            found.methods.setdefault(method, respond)

    async def __call__(self, request: Request) -> Response:
        """Respond to one request, or raise the error of its route."""
        scope = request.scope
        scope["app"] = self._described
        scope["route"] = found = self._find(scope)
        respond = found.methods.get(scope["method"]) or found.methods.get(ANY_METHOD)
        if respond is None:
            raise MethodNotAllowed(sorted(found.methods))
        return await respond(request)

    def _find(self, scope: Scope) -> _Path:
        path = scope["path"]
        if path in self._exact:
            return self._exact[path]
        for pattern, found in self._templates.values():
            match = pattern.fullmatch(path)
            if match is not None:
                scope["path_params"] = match.groupdict()
                return found
        raise NotFound


class ApiResponse(Response):
    """A response whose status and headers may be set before its content is known."""

    def __init__(self, status_code: int) -> None:  # Starlette's computes headers of no content
        self.status_code, self.body, self.background = status_code, b"", None
        self.raw_headers: list[tuple[bytes, bytes]] = []

    def set_json(self, content: object) -> None:
        """Encode the body."""
        self.body = to_json(content)
        self.raw_headers.append((b"content-type", b"application/json; charset=utf-8"))
        self.raw_headers.append((b"content-length", b"%d" % len(self.body)))


class Operation:
    """Responds with the function of one route.

    The function may ask for parameters, a JSON body, dependencies, the request, and a response to
    set headers on. Dependencies are `async` and read no parameters.
    """

    def __init__(self, route: APIRoute) -> None:
        self._function: Callable[..., Any] = route.endpoint
        self._wanted = route.dependant
        self._status = route.status_code or 200

    async def __call__(self, request: Request) -> Response:
        """Respond to one request. InvalidRequest names all that is wrong with its input."""
        wanted = self._wanted
        arguments: dict[str, Any] = {}
        wrong: list[FieldError] = []
        inputs = [*_parameters(wanted, request)]
        inputs += [(field, await read_json(request), ("body",)) for field in wanted.body_params]
        for field, value, place in inputs:
            arguments[field.name], errors = field.validate(value, loc=place)
            wrong += map(_field_error, errors)
        arguments |= await _dependencies(wanted, request)
        if wrong:
            raise InvalidRequest(wrong)
        response = ApiResponse(self._status)
        if wanted.response_param_name is not None:
            arguments[wanted.response_param_name] = response
        result = await self._function(**arguments)
        if isinstance(result, Response):
            return result
        if result is not None:
            response.set_json(result)
        return response


def _parameters(wanted: Dependant, request: Request) -> Iterator[_Input]:
    """Read what the request gives for each parameter. Nothing is validated yet."""
    for field in wanted.path_params:
        yield field, request.path_params[field.alias], ("path", field.alias)
    for field in wanted.query_params:
        values = request.query_params.getlist(field.alias)
        if len(values) > 1:
            raise MalformedRequest
        yield field, values[0] if values else field.default, ("query", field.alias)
    for field in wanted.header_params:
        values = request.headers.getlist(field.alias)
        if len(values) > 1:
            raise InvalidRequest([FieldError(f"header/{field.alias}", "is given more than once")])
        yield field, values[0] if values else field.default, ("header", field.alias)


async def _dependencies(wanted: Dependant, request: Request) -> dict[str, Any]:
    """Ask the dependencies in their order; return their values by name."""
    values: dict[str, Any] = {}
    for dependency in wanted.dependencies:
        ask: Any = dependency.call
        value = await ask(**await _dependencies(dependency, request))
        if dependency.name is not None:  # a dependency of a router has none
            values[dependency.name] = value
    if wanted.request_param_name is not None:
        values[wanted.request_param_name] = request
    return values


def _field_error(error: Mapping[str, Any]) -> FieldError:
    place, *path = error["loc"]
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in path)
    pointer = ("" if place == "body" else str(place)) + "".join(f"/{step}" for step in steps)
    return FieldError(pointer, error["msg"].removeprefix("Value error, "))
