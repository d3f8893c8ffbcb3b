"""Liveness and readiness: what an orchestrator may conclude."""

import sqlite3
from contextlib import closing

import httpx

from tests.support.running_app import RunningApp

READY = {"store": "ok", "keys": "ok", "draining": "no"}


async def test_a_process_that_may_get_traffic_is_ready(phone: httpx.AsyncClient) -> None:
    answer = await phone.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "checks": READY, "authing": "unknown"}


async def test_a_process_that_is_about_to_leave_is_alive_but_not_ready(world: RunningApp) -> None:
    world.drain.start()
    answer = await world.phone.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not_ready"
    assert answer.json()["checks"] == READY | {"draining": "yes"}
    assert (await world.phone.get("/livez")).status_code == 200


async def test_a_store_that_cannot_be_written_fails_readiness_and_not_liveness(
    world: RunningApp,
) -> None:
    with closing(sqlite3.connect(world.store_file)) as database:
        database.execute("BEGIN IMMEDIATE")
        answer = await world.phone.get("/readyz")
        alive = await world.phone.get("/livez")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not_ready"
    assert answer.json()["checks"] == READY | {"store": "unavailable"}
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    assert (await world.phone.get("/readyz")).status_code == 200


async def test_trouble_of_authing_is_told_and_never_fails_readiness(world: RunningApp) -> None:
    await world.log_in()
    assert (await world.phone.get("/readyz")).json()["authing"] == "ok"
    world.break_authing("http_500")
    await world.phone.post("/v1/sessions", json={"ticket": world.ticket()})
    answer = await world.phone.get("/readyz")
    assert (answer.status_code, answer.json()["authing"]) == (200, "http_5xx")
