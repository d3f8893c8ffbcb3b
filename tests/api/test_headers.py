"""The headers that every response has, and those that none has."""

import asyncio

import httpx
import pytest

from tests.api.error_cases import CASES, Case, Outcome
from tests.api.routes import CACHEABLE, INTERNAL, ROUTES
from tests.support.running_app import SERVICE, RunningApp, bearer
from tests.support.serving import served


def check_headers(response: httpx.Response, cache_control: str = "no-store") -> None:
    headers = response.headers
    assert headers.get_list("Cache-Control") == [cache_control]
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert len(headers.get_list("X-Request-Id")) == 1
    assert headers["X-Request-Id"]
    for name in headers:
        assert not name.startswith("access-control-")
    assert not headers.keys() & {"set-cookie", "server", "x-powered-by"}
    assert (response.status_code == 401) == ("www-authenticate" in headers)


def cache_control_of(path: str) -> str:
    return "public, max-age=300" if path in CACHEABLE else "no-store"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_error_has_the_common_headers(case: Case, outcome: Outcome) -> None:
    check_headers(outcome.response)


SERVED = [
    pytest.param(method, path, id=f"success-{method}-{path}")
    for path, methods in ROUTES.items()
    for method in sorted(methods)
]


@pytest.mark.parametrize(("method", "path"), SERVED)
async def test_every_success_has_the_common_headers(
    app: RunningApp, method: str, path: str
) -> None:
    tokens = await app.log_in()
    await app.backend("PUT", "somebody", "ban", {"reason": "spam"})
    bodies = {
        "/v1/sessions": {"ticket": app.ticket()},
        "/v1/sessions/refresh": {"refresh_token": tokens["refresh_token"]},
        "/internal/v1/users/{subject}/ban": {"reason": "spam"},
    }
    response = await app.phone.request(
        method,
        path.format(session_id=tokens["session"]["id"], subject="somebody"),
        json=bodies.get(path),
        params={"scope": "others"} if path == "/v1/sessions" else None,
        headers=SERVICE if path in INTERNAL else bearer(tokens),
    )
    assert response.is_success
    if response.status_code != 204:
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    check_headers(response, cache_control_of(path))


async def test_a_process_that_is_not_ready_says_so_uncached(app: RunningApp) -> None:
    app.drain.set()
    check_headers(await app.phone.get("/readyz"))


@pytest.mark.parametrize(
    "given", ["abcdefgh", "A" * 64, "3f2504e0-4f89-11d3-9a0c-0305e82c3301", "a.b_c-d.0"]
)
async def test_a_well_formed_request_id_is_taken(phone: httpx.AsyncClient, given: str) -> None:
    response = await phone.get("/v1/me", headers={"X-Request-Id": given})
    assert response.headers["X-Request-Id"] == response.json()["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        *(b"", b"short67", b"a" * 65, b"with space", b"caf\xc3\xa9-1234", b"\xff" * 10),
        *(b"<script>", b"x" * 8 + b"\n"),
    ],
)
async def test_an_odd_request_id_is_replaced(phone: httpx.AsyncClient, given: bytes) -> None:
    response = await phone.get("/livez", headers={b"X-Request-Id": given})
    replaced = response.headers["X-Request-Id"]
    assert replaced.isalnum()
    assert len(replaced) == 32
    assert replaced.encode() not in given


async def test_requests_without_an_id_get_one_each(phone: httpx.AsyncClient) -> None:
    ids = {(await phone.get("/livez")).headers["X-Request-Id"] for _ in range(5)}
    assert len(ids) == 5


async def test_an_origin_is_not_let_in(phone: httpx.AsyncClient) -> None:
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    for method in ("GET", "OPTIONS"):
        check_headers(await phone.request(method, "/livez", headers=origin))


async def test_a_head_over_a_socket_has_no_body_and_no_response_names_the_server(
    app: RunningApp,
) -> None:
    async with served(app.serve(), drain=app.drain) as running:
        for path in ("/livez", "/readyz", "/v1/launch", "/.well-known/jwks.json"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            request = f"HEAD {path} HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n"
            writer.write(request.encode())
            async with asyncio.timeout(30):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert head.startswith(b"HTTP/1.1 200 ")
            assert (body, b"\r\nserver:" in head.lower()) == (b"", False)
