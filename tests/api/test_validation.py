"""A 422 names the field and the rule, and never repeats the input."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from tests.api.routes import WITH_BODY
from tests.support.running_app import SERVICE, RunningApp, phone_of

CANARY = "canary-5d41402a"
LONG = CANARY * 600
LOGIN, REFRESH = "/v1/sessions", "/v1/sessions/refresh"
BAN = "/internal/v1/users/{subject}/ban"
REFUSED: list[tuple[str, dict[str, Any]]] = [
    (LOGIN, {CANARY: CANARY}),
    (LOGIN, {"ticket": f"{CANARY} with spaces"}),
    (LOGIN, {"ticket": [CANARY]}),
    (LOGIN, {"ticket": {CANARY: CANARY}}),
    (LOGIN, {"ticket": CANARY, "ext_msg": CANARY}),
    (LOGIN, {"ext_msg": [CANARY]}),
    (REFRESH, {CANARY: CANARY}),
    (REFRESH, {"refresh_token": [CANARY]}),
    (REFRESH, {"refresh_token": LONG[:300]}),
    (BAN, {CANARY: CANARY}),
    (BAN, {"reason": f"{CANARY} "}),
    (BAN, {"reason": [CANARY]}),
    (BAN, {"reason": "spam", "until": CANARY}),
    (BAN, {"reason": "spam", "until": {CANARY: CANARY}}),
]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        *((path, body, SERVICE) for path, body in REFUSED),
        *(
            (LOGIN, {"ticket": "made-up"}, {"Idempotency-Key": key})
            for key in (f"{CANARY} {CANARY}", CANARY[:15], LONG)
        ),
    ],
)
async def test_a_refused_request_is_not_echoed(
    phone: httpx.AsyncClient,
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    log_lines: Callable[[], list[dict[str, Any]]],
) -> None:
    url = path.format(subject=CANARY)
    response = await phone.request(WITH_BODY[path], url, json=body, headers=headers)
    assert response.status_code == 422
    assert CANARY[:15] not in response.text + str(response.headers) + str(log_lines())


async def test_a_name_with_the_signs_of_a_pointer_is_escaped(app: RunningApp) -> None:
    async def add(numbers: dict[str, int]) -> int:
        return sum(numbers.values())

    route = APIRoute("/numbers", add, methods=["POST"])
    async with phone_of(app.serve(extra_routes=[route])) as phone:
        response = await phone.post("/numbers", json={"a/b~c": "many"})
    assert [error["pointer"] for error in response.json()["errors"]] == ["/a~1b~0c"]


@pytest.mark.parametrize(
    ("path", "headers", "body", "pointers"),
    [
        (LOGIN, {"Idempotency-Key": "short"}, {"ticket": []}, "header/idempotency-key /ticket"),
        (BAN, SERVICE, {"reason": "", "until": 1}, "path/subject /reason /until"),
    ],
)
async def test_all_wrong_parts_of_a_request_are_named(
    phone: httpx.AsyncClient, path: str, headers: dict[str, str], body: object, pointers: str
) -> None:
    url = path.format(subject="a" * 129)
    response = await phone.request(WITH_BODY[path], url, json=body, headers=headers)
    assert [error["pointer"] for error in response.json()["errors"]] == pointers.split()
