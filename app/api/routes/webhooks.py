"""Authing's webhook: a hint that a user has changed. Nothing in it is believed but the user's id.

Exists only with `AUTHING_WEBHOOK_SECRET`. Authing sends its events as JSON or as a form, and signs
nothing. So this route never refuses a body, and Authing is asked about each user afterwards.
"""

import json
import re
from collections import deque
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from fastapi import Request

from app.api.deps import ServicesDep
from app.api.routing import new_router
from app.errors import ServiceKeyInvalid

router = new_router("webhooks")
_SECRET_HEADERS = ("x-authing-webhook-secret", "x-authing-token", "x-genauth-token")
_IDS = ("id", "_id", "userId")
_PARENTS = ("data", "user", "users")
_USER_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STEPS = re.compile(r"[^\[\].]+")


@router.post("/webhooks/authing", status_code=204, include_in_schema=False)
async def authing(request: Request, services: ServicesDep) -> None:
    """Look at the users that the body names. Every secret that is given must be right."""
    given = [value for name in _SECRET_HEADERS for value in request.headers.getlist(name)]
    right = [services.webhook_secrets.accept(value) for value in given]
    if not right or not all(right):
        raise ServiceKeyInvalid
    for user_id in dict.fromkeys(_user_ids(await request.body())):
        services.hint(user_id)


def _user_ids(body: bytes) -> Iterator[str]:
    """Yield the id of each user in the body: JSON, or a form whose fields may hold JSON."""
    text = body.decode(errors="replace")
    document = _decoded(text)
    if isinstance(document, dict):
        yield from _of_document(document)
        return
    for name, value in parse_qsl(text):
        *path, last = _STEPS.findall(name) or [""]  # such as data[users][0][id]
        if all(step in _PARENTS or step.isdecimal() for step in path):
            yield from _of_document({last: value})


def _of_document(document: dict[str, Any]) -> Iterator[str]:
    """Yield the ids of a bare user, and of users anywhere below `data`, `user` and `users`."""
    levels: deque[Any] = deque([document])
    while levels:
        level = levels.popleft()
        if isinstance(level, list):
            levels += level
        elif isinstance(level, dict):
            levels += [_decoded(level[name]) for name in _PARENTS if name in level]
            given = [level.get(name) for name in _IDS]
            yield from (
                each for each in given if isinstance(each, str) and _USER_ID.fullmatch(each)
            )


def _decoded(value: Any) -> Any:
    """Decode a text as JSON: one field of a form may hold a whole object."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
