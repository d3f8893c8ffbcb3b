"""Liveness and readiness."""

import sqlite3
from contextlib import closing

import httpx

from tests.support.running_app import RunningApp

READY = {"store": "ok", "keys": "ok", "draining": "no"}


async def test_a_process_that_may_get_traffic_is_ready(phone: httpx.AsyncClient) -> None:
    response = await phone.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": READY, "authing": "unknown"}


async def test_a_process_that_is_about_to_leave_is_alive_but_not_ready(app: RunningApp) -> None:
    app.drain.start()
    response = await app.phone.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not_ready"
    assert response.json()["checks"] == READY | {"draining": "yes"}
    assert (await app.phone.get("/livez")).status_code == 200


async def test_a_store_that_cannot_be_written_fails_readiness_and_not_liveness(
    app: RunningApp,
) -> None:
    with closing(sqlite3.connect(app.store_file)) as database:
        database.execute("BEGIN IMMEDIATE")
        response = await app.phone.get("/readyz")
        alive = await app.phone.get("/livez")
    assert response.status_code == 503
    assert response.json()["status"] == "not_ready"
    assert response.json()["checks"] == READY | {"store": "unavailable"}
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (await app.phone.get("/readyz")).status_code == 200


async def test_a_failure_of_authing_is_shown_and_never_fails_readiness(app: RunningApp) -> None:
    await app.log_in()
    assert (await app.phone.get("/readyz")).json()["authing"] == "ok"
    app.break_authing("http_500")
    await app.phone.post("/v1/sessions", json={"ticket": app.ticket()})
    response = await app.phone.get("/readyz")
    assert (response.status_code, response.json()["authing"]) == (200, "http_5xx")
