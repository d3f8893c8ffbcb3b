"""nginx in front of two services over one Valkey, as real processes with the files of `deploy/`."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.commands.environment import minimal
from tests.deploy.gateway import Gateway, gateway, valkey
from tests.deploy.nginx import Nginx, nginx_program
from tests.deploy.phones import Phone, using
from tests.deploy.upstream import FrailUpstream
from tests.e2e.conftest import Authing, running_authing
from tests.support.leaks import found
from tests.support.valkey.program import ProgramMissing, program

pytestmark = pytest.mark.long
SERVICE_KEY = "made-up-service-key-0123456789abcdef"
UNHINDERED = {"RATE_LIMIT_LOGIN": "999999/second", "RATE_LIMIT_REFRESH": "999999/second"}
PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if nginx_program() is None:
        pytest.skip("nginx is not installed")
    try:
        program()
    except ProgramMissing as missing:
        pytest.skip(str(missing))
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def authing(folder: Path) -> Iterator[Authing]:
    with running_authing(folder) as authing:
        yield authing


@pytest.fixture(scope="module")
def settings(folder: Path, authing: Authing, readme: str) -> Iterator[dict[str, str]]:
    """The settings of both instances. They trust nginx at 127.0.0.1."""
    with valkey(folder / "valkey", readme) as store_url:
        yield minimal(folder) | {
            "AUTHING_BASE_URL": authing.url,
            "STORE_URL": store_url,
            "SERVICE_API_KEYS": SERVICE_KEY,
            "TRUSTED_PROXIES": "127.0.0.1",
            "DRAIN_DELAY": "1",
        }


@pytest.fixture(scope="module")
def _fleet(folder: Path, settings: dict[str, str]) -> Iterator[Gateway]:
    with gateway(folder / "fleet", settings | UNHINDERED) as running:
        yield running


@pytest.fixture
def fleet(_fleet: Gateway) -> Gateway:
    """Both instances run, and nginx has marked neither as failed."""
    for instance in _fleet.instances:
        instance.restart_if_down()
    _fleet.nginx.restart()
    return _fleet


@pytest.fixture
def phone(fleet: Gateway, authing: Authing) -> Iterator[Phone]:
    with fleet.nginx.client() as http:
        phone = Phone(http, authing)
        phone.log_in()
        yield phone


# --- the fleet is one service ---


def test_a_session_lives_on_both_instances(fleet: Gateway, phone: Phone) -> None:
    before = len(fleet.nginx.proxied())

    for _ in range(6):
        phone.refresh()
        phone.look()

    assert set(phone.statuses) == {200, 201}
    served = {entry["upstream"] for entry in fleet.nginx.proxied()[before:]}
    assert served == {f"127.0.0.1:{instance.port}" for instance in fleet.instances}


def test_an_instance_killed_under_load_loses_no_session(fleet: Gateway, authing: Authing) -> None:
    victim, _ = fleet.instances

    with using(fleet.nginx, authing) as phones:
        victim.program.kill()
        for phone in phones:
            phone.uses_on()

    answers = [status for phone in phones for status in phone.statuses]
    # nginx does not repeat a POST in flight; the app does.
    assert set(answers) <= {200, 201, 409, 502}
    assert answers.count(502) <= len(phones)
    assert {phone.statuses[-1] for phone in phones} == {200}


def test_a_stopping_instance_fails_no_request(fleet: Gateway, authing: Authing) -> None:
    stopping, _ = fleet.instances

    with using(fleet.nginx, authing) as phones:
        stopping.program.send(signal.SIGTERM)
        assert stopping.program.wait() == 0
        for phone in phones:
            phone.uses_on()

    assert {status for phone in phones for status in phone.statuses} == {200, 201}


# --- what nginx refuses ---


@pytest.mark.parametrize(
    "path",
    [
        "/internal/v1/users/u/sessions",
        "//internal/v1/users/u/sessions",
        "/v1/../internal/v1/users/u/sessions",
        "/v1/%2e%2e/internal/v1/users/u/sessions",
        "/v1/..%2finternal/v1/users/u/sessions",
        "/%69nternal/v1/users/u/sessions",
        "/livez",
        "/readyz",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/",
    ],
)
def test_an_internal_path_is_404_from_outside(fleet: Gateway, path: str) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n"
        f"Authorization: Bearer {SERVICE_KEY}\r\n\r\n"
    )

    answer = fleet.nginx.raw(request.encode())

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert fleet.nginx.proxied()[-1]["upstream"] == ""


HEAD = b"POST /v1/sessions HTTP/1.1\r\nHost: gate.test\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /v1/launch HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
        b"Content-Length: 2, 2\r\n\r\n{}",
        b"Content-Length: +2\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2;\r\n{}\r\nx\r\n\r\n",
    ],
)
def test_a_smuggled_request_is_not_served(fleet: Gateway, framing: bytes) -> None:
    answer = fleet.nginx.raw(HEAD + framing + SMUGGLED)

    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.split(b" ")[1] in (b"400", b"501")


def test_the_service_refuses_long_requests_and_nginx_absurd_ones(
    phone: Phone,
) -> None:
    bodies = [phone.http.post("/v1/sessions", content=b" " * size) for size in (8193, 17_000)]
    urls = [phone.http.get("/v1/launch?" + "x" * size) for size in (2100, 9000)]

    assert [answer.status_code for answer in (*bodies, *urls)] == [413, 413, 414, 414]
    forms = [answer.headers["Content-Type"] == PROBLEM for answer in (*bodies, *urls)]
    assert forms == [True, False, True, False]


def test_a_client_cannot_forge_its_address(
    folder: Path, settings: dict[str, str], authing: Authing
) -> None:
    limited = settings | {"RATE_LIMIT_LOGIN": "3/hour"}
    with gateway(folder / "limited", limited) as fleet, ExitStack() as stack:

        def log_in(address: str, claimed: str) -> int:
            headers = {"X-Forwarded-For": claimed, "Forwarded": f"for={claimed}"}
            http = stack.enter_context(fleet.nginx.client(address, **headers))
            return http.post("/v1/sessions", json={"ticket": authing.ticket()}).status_code

        spoofed = [log_in("127.0.0.2", f"203.0.113.{n}") for n in range(4)]
        somebody_else = log_in("127.0.0.3", "127.0.0.2")

    assert spoofed == [201, 201, 201, 429]
    assert somebody_else == 201


# --- nginx alone ---


def test_a_post_is_never_sent_twice(folder: Path) -> None:
    with FrailUpstream() as first, FrailUpstream() as second:
        nginx = Nginx(folder / "frail", (first.port, second.port))
        with nginx, nginx.client() as http:
            posted = http.post("/v1/sessions", json={"ticket": "made-up"})
            assert (posted.status_code, first.requests + second.requests) == (502, 1)
            nginx.restart()
            got = http.get("/v1/launch")
            assert (got.status_code, first.requests + second.requests) == (502, 3)


def test_the_log_of_nginx_holds_nothing_from_a_client(fleet: Gateway, authing: Authing) -> None:
    canaries = {
        "query": "canary-of-the-query-0123456789",
        "bearer": "canary-of-the-header-0123456789",
        "agent": "canary-of-the-agent-0123456789",
        "path": "canary-of-the-path-0123456789",
    }
    headers = {
        "Authorization": f"Bearer {canaries['bearer']}",
        "User-Agent": canaries["agent"],
        "Referer": canaries["agent"],
    }
    asked = f"/v1/sessions/{canaries['path']}?access_token={canaries['query']}"
    with fleet.nginx.client(**headers) as http:
        before = http.delete(asked).status_code
        too_long = http.get(asked + "x" * 9000).status_code
        for instance in fleet.instances:
            instance.program.kill()
        after = http.delete(asked).status_code

    assert (before, too_long, after) == (400, 414, 502)
    assert [entry["status"] for entry in fleet.nginx.proxied()][-3:] == ["400", "414", "502"]
    assert found(canaries, fleet.nginx.written()) == set()
