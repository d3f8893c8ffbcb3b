"""nginx in front of two services over one Valkey, as real processes with the files of `deploy/`."""

import asyncio
import random
import signal
import socketserver
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.commands.environment import minimal
from tests.deploy.fleet import Fleet, Nginx, running_fleet, running_nginx, valkey
from tests.e2e.conftest import Authing
from tests.soak.phone import Answer, App, Line, telephony
from tests.support.leaks import found
from tests.support.processes import soon
from tests.support.programs import program
from tests.support.threads import serving_in_thread
from tests.support.valkey import process

pytestmark = pytest.mark.long
SERVICE_KEY = "made-up-service-key-0123456789abcdef"
UNHINDERED = {"RATE_LIMIT_LOGIN": "999999/second", "RATE_LIMIT_REFRESH": "999999/second"}
PROBLEM = "application/problem+json; charset=utf-8"
Seen: TypeAlias = list[tuple[Answer | None, float]]
APPS = 4
ROUNDS = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program("nginx")
    try:
        process.program()
    except process.ProgramMissing as missing:
        pytest.skip(str(missing))
    return tmp_path_factory.mktemp("fleet")


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
def _fleet(folder: Path, settings: dict[str, str]) -> Iterator[Fleet]:
    with running_fleet(folder / "fleet", settings | UNHINDERED) as running:
        yield running


@pytest.fixture
def fleet(_fleet: Fleet) -> Fleet:
    """Both instances run."""
    for instance in _fleet.instances:
        if not instance.program.runs_for(0):
            instance.restart()
    return _fleet


# --- the fleet is one service ---


async def use(app: App, enough: asyncio.Event) -> None:
    while not enough.is_set():
        await app.refresh()
        await app.look()
        if app.tally["looks"] % ROUNDS == 0:
            await app.sign_in()


async def use_on(apps: Sequence[App]) -> None:
    """Wait until each app has done some more."""
    wanted = [app.tally["looks"] + ROUNDS for app in apps]
    pairs = list(zip(apps, wanted, strict=True))
    await asyncio.to_thread(soon, lambda: all(app.tally["looks"] >= least for app, least in pairs))


@asynccontextmanager
async def using(nginx: Nginx, authing: Authing) -> AsyncIterator[tuple[Sequence[App], Seen]]:
    """Apps that use the service through nginx until the end, and their answers so far.

    Each refreshes once more at the end, with the token that it holds.
    """
    enough = asyncio.Event()
    seen: Seen = []
    async with telephony(tls=nginx.tls) as http:
        line = Line(http, lambda: nginx.port, "https", seen)
        tickets = partial(asyncio.to_thread, authing.ticket)
        choices = random.Random(0)  # noqa: S311  # pauses, not secrets
        apps = [App(line, tickets, choices, Counter()) for _ in range(APPS)]
        await asyncio.gather(*(app.sign_in() for app in apps))
        async with asyncio.TaskGroup() as group:
            for app in apps:
                group.create_task(use(app, enough))
            await use_on(apps)
            yield apps, seen
            enough.set()
        await asyncio.gather(*(app.refresh() for app in apps))


def statuses(seen: Seen) -> Counter[int]:
    return Counter(response.status if response else 0 for response, _ in seen)


async def test_a_session_lives_on_both_instances(fleet: Fleet, authing: Authing) -> None:
    before = len(fleet.nginx.proxied())

    async with using(fleet.nginx, authing) as (_, seen):
        pass

    assert statuses(seen).keys() == {200, 201}
    logged = fleet.nginx.proxied(before + len(seen))
    served = {entry["upstream"] for entry in logged[before:]}
    assert served == {f"127.0.0.1:{instance.port}" for instance in fleet.instances}


async def test_an_instance_killed_under_load_loses_no_session(
    fleet: Fleet, authing: Authing
) -> None:
    async with using(fleet.nginx, authing) as (apps, seen):
        fleet.instances[0].program.kill()
        await use_on(apps)

    # nginx does not repeat a POST in flight; the app does.
    assert statuses(seen).keys() <= {200, 201, 400, 409, 502}
    assert statuses(seen)[502] <= len(apps)
    # A login that died with the instance may have spent its ticket at Authing; no session existed.
    assert statuses(seen)[400] == sum(app.tally["relaunches"] for app in apps)
    assert {app.ended for app in apps} == {None}


async def test_restarting_the_instances_in_turn_fails_no_request(
    fleet: Fleet, authing: Authing
) -> None:
    async with using(fleet.nginx, authing) as (apps, seen):
        for instance in fleet.instances:
            instance.program.send(signal.SIGTERM)
            assert await asyncio.to_thread(instance.program.wait) == 0
            await asyncio.to_thread(instance.restart)  # the other stops when it is ready
        await use_on(apps)

    assert statuses(seen).keys() == {200, 201}


# --- what nginx refuses ---


INTERNAL = "internal/v1/users/u/sessions"


@pytest.mark.parametrize(
    "path",
    [
        *(f"{before}{INTERNAL}" for before in ("/", "//", "/v1/../", "/v1/%2e%2e/", "/v1/..%2f")),
        *("/%69nternal/v1/users/u/sessions", "/authz", "/authz/a", "/livez", "/readyz"),
        *("/metrics", "/docs", "/openapi.json", "/"),
    ],
)
def test_an_internal_path_is_404_from_outside(fleet: Fleet, path: str) -> None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n"
        f"Authorization: Bearer {SERVICE_KEY}\r\n\r\n"
    )
    before = len(fleet.nginx.proxied())

    response = fleet.nginx.raw(request.encode())

    assert response.startswith(b"HTTP/1.1 404 ")
    assert fleet.nginx.proxied(before + 1)[-1]["upstream"] == ""


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
def test_a_smuggled_request_is_not_served(fleet: Fleet, framing: bytes) -> None:
    response = fleet.nginx.raw(HEAD + framing + SMUGGLED)

    assert response.count(b"HTTP/1.1 ") == 1
    assert response.split(b" ")[1] in (b"400", b"501")


def test_the_service_refuses_long_requests_and_nginx_absurd_ones(fleet: Fleet) -> None:
    with fleet.nginx.client() as http:
        bodies = [http.post("/v1/sessions", content=b" " * size) for size in (8193, 17_000)]
        urls = [http.get("/v1/launch?" + "x" * size) for size in (2100, 9000)]

    assert [response.status_code for response in (*bodies, *urls)] == [413, 413, 414, 414]
    forms = [response.headers["Content-Type"] == PROBLEM for response in (*bodies, *urls)]
    assert forms == [True, False, True, False]


def test_a_client_cannot_forge_its_address(
    folder: Path, settings: dict[str, str], authing: Authing
) -> None:
    limited = settings | {"RATE_LIMIT_LOGIN": "3/hour"}
    with running_fleet(folder / "limited", limited) as fleet, ExitStack() as stack:

        def log_in(address: str, claimed: str, ticket: str) -> int:
            headers = {"X-Forwarded-For": claimed, "Forwarded": f"for={claimed}"}
            http = stack.enter_context(fleet.nginx.client(address, **headers))
            return http.post("/v1/sessions", json={"ticket": ticket}).status_code

        spoofed = [log_in("127.0.0.2", f"203.0.113.{n}", f"made-up-{n}") for n in range(4)]
        another = log_in("127.0.0.3", "127.0.0.2", authing.ticket())

        clients = [entry["client"] for entry in fleet.nginx.proxied(at_least=5)]

    assert spoofed == [400, 400, 400, 429]
    assert another == 201
    assert clients == ["127.0.0.2"] * 4 + ["127.0.0.3"]


# --- nginx alone ---


class _DiesOnRequest(socketserver.BaseRequestHandler):
    server: "FrailUpstream"

    def handle(self) -> None:
        if self.request.recv(65536):
            self.server.requests += 1


class FrailUpstream(socketserver.ThreadingTCPServer):
    """A service that takes a request and dies before it answers, over and over."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _DiesOnRequest)
        self.requests = 0
        self.port = int(self.server_address[1])


def test_a_post_is_never_sent_twice(folder: Path) -> None:
    with serving_in_thread(FrailUpstream()) as first, serving_in_thread(FrailUpstream()) as second:
        frail = running_nginx(folder / "frail", first.port, second.port)
        with frail as nginx, nginx.client() as http:
            posted = http.post("/v1/sessions", json={"ticket": "made-up"})
            assert (posted.status_code, first.requests + second.requests) == (502, 1)
            got = http.get("/v1/launch")
            assert (got.status_code, first.requests + second.requests) == (502, 3)


def test_the_log_of_nginx_holds_nothing_from_a_client(fleet: Fleet, authing: Authing) -> None:
    names = ("query", "bearer", "agent", "path")
    canaries = {name: f"canary-of-the-{name}-0123456789" for name in names}
    headers = {
        "Authorization": f"Bearer {canaries['bearer']}",
        "User-Agent": canaries["agent"],
        "Referer": canaries["agent"],
    }
    logged = len(fleet.nginx.proxied())
    asked = f"/v1/sessions/{canaries['path']}?access_token={canaries['query']}"
    with fleet.nginx.client(**headers) as http:
        before = http.delete(asked).status_code
        too_long = http.get(asked + "x" * 9000).status_code
        for instance in fleet.instances:
            instance.program.kill()
        after = http.delete(asked).status_code

    assert (before, too_long, after) == (400, 414, 502)
    statuses = [entry["status"] for entry in fleet.nginx.proxied(logged + 3)]
    assert statuses[-3:] == ["400", "414", "502"]
    assert found(canaries, fleet.nginx.written()) == set()
