"""The files of `deploy/gateways`, run by the real programs in front of the real service."""

import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import yaml

from tests.commands.environment import minimal
from tests.deploy.fleet import Instance
from tests.deploy.gateways import FOLDER, PROGRAMS, Gateway, identity_of, running
from tests.e2e.conftest import Authing
from tests.support.processes import soon

pytestmark = pytest.mark.long
SERVICE_KEY = "made-up-service-key-0123456789abcdef"
NAMES = ("X-Auth-User-Id", "X-Auth-Session-Id", "X-Auth-Device-Type", "X-Auth-Expires-At")
SPOOFED = [
    *(name.lower() for name in NAMES),
    *(name.upper() for name in NAMES),
    *("x_auth_user_id", "X_Auth_User_Id", "X-Auth_User-Id", "X_AUTH-USER_ID", "x.auth.user.id"),
    *("X_Auth_Device_Type", "X-Auth_Device-Type", "X-AUTH-Error-Code", "x_auth_error_code"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, authing: Authing) -> Iterator[Instance]:
    folder = tmp_path_factory.mktemp("service")
    own = {"AUTHING_BASE_URL": authing.url, "SERVICE_API_KEYS": SERVICE_KEY, "DRAIN_DELAY": "0"}
    with ExitStack() as stack:
        yield Instance(folder / "a", minimal(folder) | own, stack)


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: program.name)
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, service: Instance
) -> Iterator[Gateway]:
    with running(request.param, tmp_path_factory.mktemp("gateway"), service.port) as ready:
        yield ready


def bearer(tokens: dict[str, Any]) -> tuple[str, str]:
    return ("Authorization", f"Bearer {tokens['access_token']}")


@pytest.fixture
def tokens(service: Instance, authing: Authing) -> dict[str, Any]:
    return service.log_in(authing.ticket())


def identity(tokens: dict[str, Any], **more: str) -> list[tuple[str, str]]:
    expires_at = tokens["server_time"] + tokens["expires_in"]
    return sorted(
        {
            "x-auth-user-id": tokens["user"]["sub"],
            "x-auth-session-id": tokens["session"]["id"],
            "x-auth-expires-at": str(expires_at),
            **more,
        }.items()
    )


# --- allowed ---


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("GET", "/", b""), ("HEAD", "/a", b""), ("DELETE", "/orders/1?next=%2F", b"")),
        *(("POST", "/orders", b"{}"), ("PUT", "/orders/%E8%AE%A2", b"x" * 100_000)),
        *(("OPTIONS", "/orders", b""), ("PROPFIND", "/a?token=a&access_token=b", b"<a/>")),
        *(("PATCH", "/" + "a" * 3000, b"{}"), ("POST", "/authz/a", b"{}")),
    ],
)
def test_an_allowed_request_reaches_the_app_with_the_identity(
    gateway: Gateway, tokens: dict[str, Any], method: str, path: str, body: bytes
) -> None:
    answer = gateway.ask(method, path, bearer(tokens), body=body)
    assert answer.status == 200
    (seen,) = answer.passed
    assert (seen.method, seen.path, seen.body) == (method, path, body)
    assert identity_of(seen) == identity(tokens)


def test_the_device_type_is_passed_on(
    gateway: Gateway, service: Instance, authing: Authing
) -> None:
    body = {"ticket": authing.ticket(), "device": {"type": "harmony"}}
    tokens = service.phone.post("/v1/sessions", json=body).json()
    (seen,) = gateway.ask("GET", "/a", bearer(tokens)).passed
    assert identity_of(seen) == identity(tokens, **{"x-auth-device-type": "harmony"})


@pytest.mark.parametrize("name", SPOOFED)
def test_a_header_of_the_client_never_passes_for_the_identity(
    gateway: Gateway, tokens: dict[str, Any], name: str
) -> None:
    spoofed, hop_by_hop = (name, "spoofed"), ("Connection", f"close, {name}")
    for headers in ([spoofed], [spoofed, spoofed], [spoofed, hop_by_hop], [hop_by_hop]):
        (seen,) = gateway.ask("GET", "/a", bearer(tokens), *headers).passed
        assert identity_of(seen) == identity(tokens)


# --- denied ---


@pytest.mark.parametrize(
    ("value", "code"), [("", "access_token_missing"), ("Bearer a.b.c", "access_token_invalid")]
)
@pytest.mark.parametrize(("method", "body"), [("GET", b""), ("POST", b"{}"), ("OPTIONS", b"")])
def test_a_request_without_a_good_token_is_denied_with_the_code(
    gateway: Gateway, value: str, code: str, method: str, body: bytes
) -> None:
    headers = [("Authorization", value)] if value else []
    answer = gateway.ask(method, "/a", *headers, ("X-Auth-User-Id", "spoofed"), body=body)
    assert (answer.status, answer.passed) == (401, [])
    assert answer.headers["x-auth-error-code"] == code
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert code.encode() in answer.body


def test_a_logout_and_a_ban_count_at_the_next_request(
    gateway: Gateway, service: Instance, authing: Authing
) -> None:
    first, second = service.log_in(authing.ticket()), service.log_in(authing.ticket("wang"))
    assert gateway.ask("GET", "/a", bearer(first)).status == 200
    service.as_bearer("DELETE", "/v1/sessions/current", first["access_token"])
    ban = f"/internal/v1/users/{second['user']['sub']}/ban"
    key = {"Authorization": f"Bearer {SERVICE_KEY}"}
    service.phone.put(ban, json={"reason": "spam"}, headers=key)
    answers = [gateway.ask("GET", "/a", bearer(tokens)) for tokens in (first, second)]
    service.phone.delete(ban, headers=key)
    assert [(each.status, each.headers["x-auth-error-code"], each.passed) for each in answers] == [
        (401, "session_ended", []),
        (403, "user_banned", []),
    ]


def test_a_store_that_cannot_be_asked_denies_with_503(
    gateway: Gateway, service: Instance, tokens: dict[str, Any]
) -> None:
    with closing(sqlite3.connect(service.folder.parent / "sessions.db")) as database:
        database.execute("ALTER TABLE sessions RENAME TO hidden")
        answer = gateway.ask("GET", "/a", bearer(tokens))
        database.execute("ALTER TABLE hidden RENAME TO sessions")
    assert (answer.status, answer.passed) == (503, [])
    assert gateway.ask("GET", "/a", bearer(tokens)).status == 200


@pytest.mark.parametrize("sent", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "is down"])
def test_a_service_that_does_not_answer_denies_in_time(
    gateway: Gateway, service: Instance, tokens: dict[str, Any], sent: signal.Signals
) -> None:
    service.program.send(sent)
    begun = time.monotonic()
    answer = gateway.ask("GET", "/a", bearer(tokens))
    lasted = time.monotonic() - begun
    if sent is signal.SIGSTOP:
        service.program.send(signal.SIGCONT)
    else:
        service.program.wait()
        service.restart()
    assert (answer.status // 100, answer.passed) == (5, [])
    assert lasted < 5
    soon(lambda: gateway.ask("GET", "/a", bearer(tokens)).status == 200)


# --- what no program here can run ---


def test_the_plugin_of_apisix_names_every_header_and_denies_in_doubt() -> None:
    """APISIX has no package."""
    file = FOLDER / "apisix" / "apisix.yaml"
    assert file.read_text("utf-8").endswith("\n#END\n")  # APISIX ignores a file without it
    (route,) = yaml.safe_load(file.read_text("utf-8"))["routes"]
    plugin = route["plugins"]["forward-auth"]
    assert plugin["uri"].endswith("/authz")
    assert {*NAMES, "X-Auth-Error-Code"} == set(plugin["upstream_headers"])
    assert (plugin["allow_degradation"], plugin["status_on_error"]) == (False, 503)
    http = yaml.safe_load((FOLDER / "apisix" / "config.yaml").read_text("utf-8"))
    assert http["nginx_config"]["http"]["underscores_in_headers"] == "off"
