"""The whole service with several workers over a real store: to its clients it is one."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Authing, Serve, Service, client
from tests.support.processes import soon
from tests.support.valkey import ports
from tests.support.valkey.servers import Server

PROMPTLY = 60.0
Start = Callable[[int], Service]


@pytest.fixture
def metrics_port() -> Iterator[int]:
    with ports.reserve() as reserved:
        yield ports.number(reserved)


@pytest.fixture
def start(serve: Serve, settings: dict[str, str], valkey: Server, metrics_port: int) -> Start:
    """Starts Ticketgate and waits until all its workers are there."""
    own = {"STORE_URL": valkey.url, "METRICS_PORT": str(metrics_port)}
    own |= {"RATE_LIMIT_LOGIN": "off", "RATE_LIMIT_REFRESH": "off"}

    def start(workers: int) -> Service:
        service = serve(**settings | own | {"WORKERS": str(workers)})
        soon(lambda: serving(service) == workers)
        return service

    return start


def serving(service: Service) -> int:
    """How many workers have begun to serve so far."""
    return sum(entry["event"] == "serving" for entry in service.logged())


def workers_of(service: Service) -> list[int]:
    pid = service.program._process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    if not children.exists():
        pytest.skip("this system's /proc does not tell the children of a process")
    return [int(child) for child in children.read_text().split()]


def anew(service: Service, method: str, path: str, **request: object) -> httpx.Response:
    """Ask over a connection of its own, which any of the workers may take."""
    with client(service.url) as phone:
        return phone.request(method, path, **request)  # type: ignore[arg-type]  # handed through


def log_in(service: Service, ticket: str) -> httpx.Response:
    headers = {"Idempotency-Key": f"attempt-of-{ticket}"[:255]}
    return anew(service, "POST", "/v1/sessions", json={"ticket": ticket}, headers=headers)


def refresh(service: Service, refresh_token: str) -> httpx.Response:
    body = {"refresh_token": refresh_token}
    return anew(service, "POST", "/v1/sessions/refresh", json=body)


def counted(metrics_port: int, sample: str) -> float:
    with client(f"http://127.0.0.1:{metrics_port}") as prometheus:
        text = prometheus.get("/metrics").text
    found = re.search(rf"^{re.escape(sample)} (.*)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_a_session_lives_in_all_workers_and_every_request_is_counted_once(
    start: Start, authing: Authing, metrics_port: int
) -> None:
    service = start(4)
    tickets = [authing.ticket() for _ in range(20)]

    def live(ticket: str) -> None:
        tokens = log_in(service, ticket).json()
        for _ in range(3):
            tokens = refresh(service, tokens["refresh_token"]).raise_for_status().json()

    with ThreadPoolExecutor(8) as phones:
        list(phones.map(live, tickets))

    events = "ticketgate_session_events_total"
    requests = "ticketgate_request_seconds_count"
    refreshes = f'{requests}{{method="POST",route="/v1/sessions/refresh",status="200"}}'
    assert counted(metrics_port, f'{events}{{detail="",event="session_opened"}}') == 20
    assert counted(metrics_port, refreshes) == 60


def test_one_ticket_is_one_session_whichever_workers_are_asked(
    start: Start, authing: Authing
) -> None:
    service = start(3)
    ticket = authing.ticket()

    with ThreadPoolExecutor(8) as phones:
        answers = list(phones.map(lambda _: log_in(service, ticket), range(24)))
    answers.append(log_in(service, ticket))

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert answers[-1].status_code == 201
    assert len({a.json()["session"]["id"] for a in answers if a.status_code == 201}) == 1


def test_when_a_worker_is_killed_no_session_is_and_another_takes_its_place(
    start: Start, authing: Authing
) -> None:
    service = start(2)
    tokens = [log_in(service, authing.ticket()).json() for _ in range(8)]
    victim = workers_of(service)[0]

    os.kill(victim, signal.SIGKILL)
    soon(lambda: victim not in workers_of(service))
    refreshed = [refresh(service, each["refresh_token"]) for each in tokens]
    soon(lambda: serving(service) == 3)

    assert [answer.status_code for answer in refreshed] == [200] * 8
    assert len(workers_of(service)) == 2
    (died,) = (entry for entry in service.logged() if entry["event"] == "worker_died")
    assert died["reason"] == "SIGKILL"


def test_when_told_to_leave_all_are_not_ready_and_leave_with_success(start: Start) -> None:
    service = start(2)
    assert anew(service, "GET", "/readyz").status_code == 200

    service.program.send(signal.SIGTERM)
    soon(lambda: anew(service, "GET", "/readyz").status_code == 503)

    assert service.program.wait(PROMPTLY) == 0
    assert service.program.err == ""


def test_when_the_supervisor_is_killed_nobody_is_left(start: Start) -> None:
    service = start(2)

    def is_over() -> bool:
        try:
            anew(service, "GET", "/livez")
        except httpx.TransportError:
            return True
        return False

    service.program.kill()

    soon(is_over, PROMPTLY)
