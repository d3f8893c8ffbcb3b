"""How every router of this API is made, and how an operation tells of its problems in OpenAPI."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from pydantic import BaseModel

from app.api.middleware import MAX_BODY_BYTES
from app.api.problems import MEDIA_TYPE, ClientAction
from app.api.strict_body import StrictBodyRoute


class Problem(BaseModel):
    """RFC 9457 problem document with our members; some codes add more (contract section 9)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    client_action: ClientAction
    request_id: str


def new_router(prefix: str = "", dependencies: Sequence[Depends] = ()) -> APIRouter:
    """A router with strict JSON bodies of at most 8 KiB."""
    return APIRouter(
        prefix=prefix,
        dependencies=dependencies,
        route_class=StrictBodyRoute,
        max_body_size=MAX_BODY_BYTES,
    )


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that may answer with these statuses."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": "Problem", "content": content} for status in statuses}
