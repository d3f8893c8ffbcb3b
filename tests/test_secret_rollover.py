"""The pool secret rolls over at Authing and here while 100 users a second sign in."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.api.deps import Services
from app.sandbox.personas import SigningKeys
from tests.support.processes import until
from tests.support.running_app import POOL_SECRET, SERVICE_KEY, RunningApp, running_app

pytestmark = pytest.mark.long
NEXT = "made-up-next-secret-9f8e7d6c5b4a39281706"
RATE = 100
FOLLOWED_WITHIN = 30.0


class Users:
    """Sign in at a steady rate. `results` counts status and code of each login."""

    def __init__(self, app: RunningApp) -> None:
        self._app = app
        self._logins: set[asyncio.Task[None]] = set()
        self.results: Counter[tuple[int, str]] = Counter()
        self.sent_again_after_an_unclear_answer = 0

    async def sign_in(self) -> None:
        ticket = self._app.ticket(f"user-{sum(self.results.values()) % 1000}")
        known = self._app.sandbox.state.tickets[ticket]
        response = await self._app.try_log_in(ticket)
        code = "" if response.status_code == 201 else response.json()["code"]
        self.results[response.status_code, code] += 1
        self.sent_again_after_an_unclear_answer += (
            code == "authing_unavailable" and known.attempts > 1
        )

    @asynccontextmanager
    async def come(self) -> AsyncIterator[None]:
        async def arrive() -> None:
            due = asyncio.get_running_loop().time()
            while True:
                login = asyncio.create_task(self.sign_in())
                self._logins.add(login)
                login.add_done_callback(self._logins.discard)
                due += 1 / RATE
                await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))

        arriving = asyncio.create_task(arrive())
        try:
            yield
        finally:
            arriving.cancel()
            with suppress(asyncio.CancelledError):
                await arriving
            await asyncio.gather(*self._logins)


def accepts(services: Services, key: str) -> bool:
    return services.service_keys.accept(key)


@pytest.mark.parametrize("spends", [False, True], ids=["refusal-spends-nothing", "refusal-spends"])
@pytest.mark.parametrize("order", ["old,new", "new,old"])
async def test_a_roll_over_of_the_pool_secret_costs_no_login(
    tmp_path: Path, order: str, *, spends: bool
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    both = order.replace("old", POOL_SECRET).replace("new", NEXT)
    # Service keys change together with the pool secret, and show when the files have been read.
    keys = {step: f"{SERVICE_KEY}{step}" for step in ("before", "both", "after")}
    (folder / "AUTHING_USER_POOL_SECRET").write_text(POOL_SECRET)
    (folder / "SERVICE_API_KEYS").write_text(keys["before"])
    async with running_app(tmp_path, service_api_keys=(SecretStr(keys["before"]),)) as app:
        app.switch_authing(refusal_spends=spends)
        users, state = Users(app), app.sandbox.state

        async def write(secrets: str, step: str) -> None:
            (folder / "AUTHING_USER_POOL_SECRET").write_text(secrets)
            (folder / "SERVICE_API_KEYS").write_text(keys[step])
            await until(lambda: accepts(app.services, keys[step]), FOLLOWED_WITHIN)

        async with users.come():
            await write(both, "both")
            await asyncio.sleep(1)
            app.break_authing("accept_then_drop", times=10)
            # A login that Authing refuses here and drops then would rightly be sent twice.
            await until(lambda: users.results[503, "authing_unavailable"] == 10)
            app.switch_authing(user_pool_secret=NEXT)
            state.keys = SigningKeys(NEXT)
            await asyncio.sleep(2)
            await write(NEXT, "after")
            await asyncio.sleep(1)
        print(f"{order}, {spends=}: {dict(users.results)}, {state.exchanges} exchanges")  # noqa: T201
        unclear = users.results.pop((503, "authing_unavailable"))
        spent = users.results.pop((400, "ticket_rejected"), 0)
        assert unclear == 10
        assert users.sent_again_after_an_unclear_answer == 0
        assert spent <= (0.2 * RATE if spends else 0)
        assert users.results.keys() == {(201, "")}
        assert users.results[201, ""] > 5 * RATE
