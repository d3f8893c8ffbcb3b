"""One log line a request, with nothing of its content."""

import hashlib
from collections.abc import Callable
from typing import Any, TypeAlias

import httpx

from tests.support.running_app import RunningApp

LogLines: TypeAlias = Callable[[], list[dict[str, Any]]]
HASHES = ("md5", "sha1", "sha256", "sha512")


def requests_in(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == "request"]


async def test_a_request_is_one_line_with_its_id_route_status_and_duration(
    phone: httpx.AsyncClient, log_lines: LogLines
) -> None:
    response = await phone.get("/v1/launch", params={"platform": "ios"})
    (line,) = log_lines()
    assert line.pop("time")
    assert line.pop("duration_ms") >= 0
    assert line == {
        "level": "info",
        "event": "request",
        "request_id": response.headers["X-Request-Id"],
        "method": "GET",
        "route": "/v1/launch",
        "status": 200,
    }


async def test_a_refusal_is_logged_with_its_code(
    phone: httpx.AsyncClient, log_lines: LogLines
) -> None:
    await phone.get("/v1/me")
    (line,) = log_lines()
    assert (line["level"], line["status"], line["code"]) == ("info", 401, "access_token_missing")


async def test_a_login_a_refresh_and_a_check_are_one_line_each_with_their_session(
    app: RunningApp, log_lines: LogLines
) -> None:
    tokens = await app.log_in()
    await app.refresh(tokens["refresh_token"])
    await app.get("/v1/me", tokens)
    shown = [line for line in log_lines() if line["level"] != "debug"]
    assert [line["event"] for line in shown] == ["request"] * 3
    assert {line["session_id"] for line in shown} == {tokens["session"]["id"]}
    assert len({line["user"] for line in shown}) == 1


async def test_every_event_has_the_id_of_its_request(app: RunningApp, log_lines: LogLines) -> None:
    tokens = await app.log_in()
    await app.try_refresh(tokens["refresh_token"])
    await app.try_refresh(tokens["refresh_token"])
    await app.delete("/v1/me", tokens)
    app.break_store()
    await app.get("/v1/me", tokens)
    lines = log_lines()
    ids = [line["request_id"] for line in requests_in(lines)]
    assert (
        [line["request_id"] for line in lines if line["event"] != "request"]
        == [
            *(ids[0], ids[0]),  # exchange, session_opened
            *ids[1:],  # session_rotated, refresh_replayed, session_ended, store_failed
        ]
    )
    assert len(set(ids)) == len(ids)


async def test_requests_about_an_ended_session_name_it_and_the_reason(
    app: RunningApp, log_lines: LogLines
) -> None:
    tokens = await app.log_in()
    await app.log_out(tokens)
    await app.get("/v1/me", tokens)
    await app.try_refresh(tokens["refresh_token"])
    lines = requests_in(log_lines())
    assert [line.get("reason") for line in lines] == [None, None, *["logged_out"] * 2]
    assert {line["session_id"] for line in lines} == {tokens["session"]["id"]}


async def test_a_user_is_logged_as_a_hash_under_a_key(app: RunningApp, log_lines: LogLines) -> None:
    lin, again, mei = await app.log_in(), await app.log_in(), await app.log_in("mei")
    await app.backend("GET", lin["user"]["sub"], "sessions")
    hashes = [line["user"] for line in requests_in(log_lines())]
    assert hashes[0] == hashes[1] == hashes[3] != hashes[2]
    guesses = {hashlib.new(name, lin["user"]["sub"].encode()).hexdigest() for name in HASHES}
    assert not any(hashes[0] in guess for guess in guesses)
    assert again["session"]["id"] != mei["session"]["id"]


async def test_the_outcome_and_the_code_of_authing_are_logged(
    app: RunningApp, log_lines: LogLines
) -> None:
    await app.phone.post("/v1/sessions", json={"ticket": "an-unknown-ticket"})
    app.break_authing("http_500")
    await app.phone.post("/v1/sessions", json={"ticket": app.ticket()})
    app.break_authing("none")
    app.switch_authing(user_pool_secret="another-made-up-secret-0123456789")
    await app.phone.post("/v1/sessions", json={"ticket": app.ticket()})
    refused, broken, misconfigured = requests_in(log_lines())
    assert refused["authing_code"] == 2207
    assert broken["outcome"] == "http_5xx"
    assert "authing_code" not in broken
    assert (misconfigured["outcome"], misconfigured["authing_code"]) == ("auth_config", 1001)


async def test_unknown_paths_and_methods_are_not_logged(
    phone: httpx.AsyncClient, log_lines: LogLines
) -> None:
    await phone.request("SOMEBODYS-SECRET", "/v1/somebodys-secret?somebodys-secret")
    (line,) = log_lines()
    assert (line["method"], line["route"], line["status"]) == ("other", "none", 404)
    assert "secret" not in str(line).lower()
