"""Liveness and readiness."""

import asyncio
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from app.api.routes.public import StoreProbe
from app.sessions.ports import Maintenance
from tests.support.running_app import RunningApp

READY = {"store": "ok", "keys": "ok", "secrets": "ok", "draining": "no"}


async def test_a_process_that_may_get_traffic_is_ready(app: RunningApp) -> None:
    response = await app.phone.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"status": "ready", "checks": READY, "authing": "unknown"}


async def test_a_process_that_is_about_to_leave_is_alive_but_not_ready(app: RunningApp) -> None:
    app.drain.set()
    response = await app.phone.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "not_ready"
    assert response.json()["checks"] == READY | {"draining": "yes"}
    assert (await app.phone.head("/readyz")).status_code == 503
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
    assert (await app.phone.get("/readyz")).status_code == 503  # for one second
    app.clock.advance(seconds=1)
    assert (await app.phone.get("/readyz")).status_code == 200


async def test_all_callers_within_a_second_share_one_write_to_the_store(app: RunningApp) -> None:
    def log_size() -> int:
        return Path(f"{app.store_file}-wal").stat().st_size

    sizes = [log_size()]
    for _ in range(2):
        for _ in range(5):
            await app.phone.get("/readyz")
        sizes.append(log_size())
        app.clock.advance(seconds=1)
    frame = 4096 + 24
    assert [later - earlier for earlier, later in pairwise(sizes)] == [frame, frame]


async def test_a_client_that_leaves_does_not_cancel_the_probe_of_others() -> None:
    async def check_writable() -> None:
        await asyncio.sleep(0)

    store = cast("Maintenance", SimpleNamespace(check_writable=check_writable))
    probe = StoreProbe(store, timer=lambda: 0)
    leaving, staying = asyncio.create_task(probe()), asyncio.create_task(probe())
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying


async def test_a_failure_of_authing_is_shown_and_never_fails_readiness(app: RunningApp) -> None:
    await app.log_in()
    assert (await app.phone.get("/readyz")).json()["authing"] == "ok"
    app.break_authing("http_500")
    await app.phone.post("/v1/sessions", json={"ticket": app.ticket()})
    response = await app.phone.get("/readyz")
    assert (response.status_code, response.json()["authing"]) == (200, "http_5xx")


async def test_a_broken_key_file_is_shown_until_it_is_repaired_and_fails_nothing(
    app: RunningApp,
) -> None:
    file = app.settings.session_keys_file
    good = file.read_bytes()
    for content, state in ((b"", "reload_failed"), (good, "ok")):
        file.write_bytes(content)
        app.follow_keys()
        response = await app.phone.get("/readyz")
        assert (response.status_code, response.json()["status"]) == (200, "ready")
        assert response.json()["checks"] == READY | {"keys": state}
        await app.log_in()
