"""A sandbox with a test clock, and HTTP clients for it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from app.sandbox import Sandbox, SandboxOptions


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
def switch(sandbox: Sandbox) -> Callable[..., None]:
    """Changes options directly in the state."""

    def turn(**changes: Any) -> None:
        sandbox.state.options = replace(sandbox.state.options, **changes)

    return turn


@pytest.fixture
async def upstream(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://authing.test") as client:
        yield client


@pytest.fixture
async def control(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://pages.test") as client:
        yield client


@pytest.fixture
def exchange(
    sandbox: Sandbox, upstream: httpx.AsyncClient
) -> Callable[..., Awaitable[httpx.Response]]:
    """Exchanges a ticket with the right pool and secret by default."""
    options = sandbox.state.options

    async def call(
        ticket: object,
        *,
        secret: object = options.user_pool_secret,
        pool: str = options.user_pool_id,
    ) -> httpx.Response:
        body = {"ticket": ticket, "secret": secret}
        return await upstream.post(f"/oauth/app2wxapp/auth/{pool}", json=body)

    return call
