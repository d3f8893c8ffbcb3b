"""CORS_ORIGINS: WebView apps call the API from a page of their own (Fetch standard)."""

import httpx
import pytest

from tests.support.running_app import RunningApp, bearer

ORIGIN = "capacitor://localhost"
ASKS = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
allowing = pytest.mark.parametrize(
    "app", [{"cors_origins": (ORIGIN, "https://localhost")}], indirect=True
)


def cors(response: httpx.Response) -> dict[str, str]:
    return {name: v for name, v in response.headers.items() if name.startswith("access-control-")}


@allowing
@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/refresh", "/v1/nothing"])
async def test_a_preflight_of_an_allowed_origin_is_answered(app: RunningApp, path: str) -> None:
    response = await app.phone.options(path, headers=ASKS)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "DELETE" in response.headers["Access-Control-Allow-Methods"]
    allowed = response.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key"} <= set(allowed)
    assert response.headers["X-Request-Id"]
    assert "Content-Type" not in response.headers


@allowing
async def test_the_page_may_read_every_response_of_an_allowed_origin(app: RunningApp) -> None:
    tokens = await app.log_in()
    responses = [
        await app.phone.get("/v1/me", headers={"Origin": ORIGIN, **bearer(tokens)}),
        await app.phone.get("/v1/me", headers={"Origin": ORIGIN}),
        await app.phone.get("/v1/me?token=a", headers={"Origin": ORIGIN}),
        await app.phone.post("/v1/sessions", content=b"{", headers={"Origin": ORIGIN}),
    ]
    assert [response.status_code for response in responses] == [200, 401, 400, 415]
    for response in responses:
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Access-Control-Allow-Credentials" not in response.headers
        exposed = response.headers["Access-Control-Expose-Headers"].split(", ")
        assert {"X-Request-Id", "Retry-After", "Location", "Idempotency-Replayed"} <= {*exposed}
        assert "Origin" in response.headers["Vary"].split(", ")


@allowing
@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "https://localhost:81"])
async def test_another_origin_gets_no_permission(app: RunningApp, origin: str) -> None:
    preflight = await app.phone.options("/v1/sessions", headers=ASKS | {"Origin": origin})
    assert (preflight.status_code, cors(preflight)) == (405, {})
    response = await app.phone.get("/v1/launch", headers={"Origin": origin})
    assert (response.status_code, cors(response)) == (200, {})
    assert response.headers["Vary"] == "Origin"
    assert cors(await app.phone.get("/v1/launch")) == {}


@allowing
async def test_options_that_is_no_preflight_is_an_unknown_method(app: RunningApp) -> None:
    response = await app.phone.options("/v1/sessions", headers={"Origin": ORIGIN})
    assert response.status_code == 405
