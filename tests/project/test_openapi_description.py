"""The description is a promise: no release breaks a client of the release before."""

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.project.breaking_changes import breaking_changes

DESCRIPTION = "docs/openapi.json"
REFRESH = ("paths", "/v1/sessions/refresh", "post")
SCHEMAS = ("components", "schemas")
TICKET_USED = (*SCHEMAS, "TicketUsed", "allOf", 1, "properties")
GONE = object()
CHANGES: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("paths", "/v1/me", "get"), GONE, "GET /v1/me: is gone"),
    ((*REFRESH, "operationId"), "renew", "{refresh}: const was ['refresh', None]"),
    ((*REFRESH, "security"), [{"access_token": []}], "{refresh}: const was ['refresh', None]"),
    (
        (*REFRESH, "parameters", 0, "required"),
        True,
        "{refresh} sends idempotency-key: requires idempotency-key",
    ),
    ((*REFRESH, "parameters", 1), GONE, "{refresh} sends DPoP: is gone"),
    ((*REFRESH, "responses", "200"), GONE, "{refresh} 200: is gone"),
    (
        (*SCHEMAS, "RefreshRequest", "required"),
        ["refresh_token", "sub"],
        "{refresh} sends application/json: requires sub",
    ),
    (
        (*SCHEMAS, "RefreshRequest", "properties", "refresh_token", "maxLength"),
        100,
        "{refresh} sends application/json/refresh_token: takes less",
    ),
    (
        (*SCHEMAS, "RefreshResponse", "properties", "server_time"),
        GONE,
        "{refresh} 200 application/json: server_time is gone",
    ),
    (
        (*SCHEMAS, "RefreshResponse", "properties", "expires_in", "type"),
        "string",
        "{refresh} 200 application/json/expires_in: type was integer",
    ),
    (
        (*SCHEMAS, "RefreshResponse", "required", 0),
        GONE,
        "{refresh} 200 application/json: may lack access_token",
    ),
    (
        (*TICKET_USED, "client_action", "const"),
        "retry",
        "TicketUsed/client_action: const was relaunch_wechat",
    ),
    ((*TICKET_USED, "status", "enum", 0), 409, "TicketUsed/status: no longer 400"),
    (
        (*SCHEMAS, "ListedBan", "properties", "sub", "type"),
        "integer",
        "GET /internal/v1/bans 200 application/json[]/sub: type was string",
    ),
]
HARMLESS: list[tuple[tuple[str | int, ...], Any]] = [
    (
        ("paths", "/v2/me"),
        {
            "get": {
                "operationId": "me",
                "responses": {},
                "parameters": [{"name": "a", "required": True, "schema": {}}],
            }
        },
    ),
    ((*REFRESH, "responses", "429"), GONE),
    ((*SCHEMAS, "User", "properties", "nationality"), {"type": "string"}),
    ((*SCHEMAS, "EndReason", "enum", 0), "logged_out"),
    ((*SCHEMAS, "RefreshRequest", "properties", "refresh_token", "maxLength"), 512),
]


def git(root: Path, *words: str) -> str:
    """The output of git, or "" if it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()


@pytest.fixture
def current(root: Path) -> dict[str, Any]:
    description: dict[str, Any] = json.loads((root / DESCRIPTION).read_text("utf-8"))
    return description


def test_nothing_breaks_a_client_of_the_last_release(
    root: Path, tracked_files: list[Path], current: dict[str, Any]
) -> None:
    release = git(root, "describe", "--tags", "--abbrev=0", "--match", "v*")
    if not release:
        pytest.skip("there is no release yet")
    released = json.loads(git(root, "show", f"{release}:{DESCRIPTION}"))
    assert list(breaking_changes(released, current)) == []


def changed(document: dict[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """A copy with another value at the path."""
    whole = copy.deepcopy(document)
    node: Any = whole
    for step in path[:-1]:
        node = node[step]
    if value is GONE:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return whole


@pytest.mark.parametrize(("path", "value", "found"), CHANGES)
def test_a_change_that_breaks_clients_is_found(
    current: dict[str, Any], path: tuple[str | int, ...], value: Any, found: str
) -> None:
    changes = list(breaking_changes(current, changed(current, path, value)))
    assert changes == [found.format(refresh="POST /v1/sessions/refresh")]


@pytest.mark.parametrize(("path", "value"), HARMLESS)
def test_a_change_that_breaks_nothing_is_not_reported(
    current: dict[str, Any], path: tuple[str | int, ...], value: Any
) -> None:
    assert list(breaking_changes(current, changed(current, path, value))) == []
