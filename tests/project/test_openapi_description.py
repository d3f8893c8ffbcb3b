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
TOKEN, EXPIRES_IN = ("properties", "refresh_token"), ("properties", "expires_in")
GONE = object()
REQUEST, RESPONSE = (*SCHEMAS, "RefreshRequest"), (*SCHEMAS, "RefreshResponse")
ACTION = (*TICKET_USED, "client_action", "const")
SUBJECT = (*SCHEMAS, "ListedBan", "properties", "sub", "type")
BANS = "GET /internal/v1/bans 200 application/json[]"
JSON = "{refresh} 200 application/json"
SENT = "{refresh} sends application/json"
KEY = "{refresh} sends idempotency-key: requires idempotency-key"
RENAMED = "{refresh}: const was ['refresh', None]"
CHANGES: list[tuple[tuple[str | int, ...], Any, str]] = [
    (("paths", "/v1/me", "get"), GONE, "GET /v1/me: is gone"),
    ((*REFRESH, "operationId"), "renew", RENAMED),
    ((*REFRESH, "security"), [{"access_token": []}], RENAMED),
    ((*REFRESH, "parameters", 0, "required"), True, KEY),
    ((*REFRESH, "parameters", 1), GONE, "{refresh} sends DPoP: is gone"),
    ((*REFRESH, "responses", "200"), GONE, "{refresh} 200: is gone"),
    ((*REQUEST, "required"), ["refresh_token", "sub"], f"{SENT}: requires sub"),
    ((*REQUEST, *TOKEN, "maxLength"), 100, f"{SENT}/refresh_token: takes less"),
    ((*RESPONSE, "properties", "server_time"), GONE, f"{JSON}: server_time is gone"),
    ((*RESPONSE, *EXPIRES_IN, "type"), "string", f"{JSON}/expires_in: type was integer"),
    ((*RESPONSE, "required", 0), GONE, f"{JSON}: may lack access_token"),
    (ACTION, "retry", "TicketUsed/client_action: const was relaunch_wechat"),
    ((*TICKET_USED, "status", "enum", 0), 409, "TicketUsed/status: no longer 400"),
    (SUBJECT, "integer", f"{BANS}/sub: type was string"),
]
NEEDY = {"name": "a", "required": True, "schema": {}}
HARMLESS: list[tuple[tuple[str | int, ...], Any]] = [
    (("paths", "/v2/me"), {"get": {"operationId": "me", "responses": {}, "parameters": [NEEDY]}}),
    ((*REFRESH, "responses", "429"), GONE),
    ((*SCHEMAS, "User", "properties", "nationality"), {"type": "string"}),
    ((*SCHEMAS, "EndReason", "enum", 0), "logged_out"),
    ((*REQUEST, *TOKEN, "maxLength"), 512),
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
