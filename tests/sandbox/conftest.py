"""A sandbox with a test clock, and an HTTP client for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import httpx
import pytest

from app.sandbox import Consent, Sandbox, SandboxOptions

Exchange: TypeAlias = Callable[..., Awaitable[httpx.Response]]
Switch: TypeAlias = Callable[..., None]


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Sandbox:
    options = SandboxOptions(
        user_pool_id="5f0000000000000000000001",
        user_pool_secret="made-up-pool-secret-0123456789abcdef",
        clock=clock,
    )
    return Sandbox(options)


@pytest.fixture
def switch(sandbox: Sandbox) -> Switch:
    """Changes options directly in the state."""

    def turn(**changes: Any) -> None:
        sandbox.state.options = replace(sandbox.state.options, **changes)

    return turn


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://authing.test") as client:
        yield client


@pytest.fixture
def exchange(sandbox: Sandbox, http: httpx.AsyncClient) -> Exchange:
    """Exchanges a new ticket, or the given one, with the right pool and secret by default."""
    options = sandbox.state.options

    async def call(
        ticket: object = Consent(),
        *,
        secret: object = options.user_pool_secret,
        pool: str = options.user_pool_id,
    ) -> httpx.Response:
        given = sandbox.state.issue(ticket) if isinstance(ticket, Consent) else ticket
        body = {"ticket": given, "secret": secret}
        return await http.post(f"/oauth/app2wxapp/auth/{pool}", json=body)

    return call
