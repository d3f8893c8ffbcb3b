"""Samples that follow the revocation feed refuse the tokens of ended sessions soon."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.commands.environment import ISSUER
from tests.examples.samples import SAMPLES, Sample, running
from tests.soak.fleet import SERVICE_KEY
from tests.soak.phone import App
from tests.soak.run import Environment, environment

pytestmark = pytest.mark.long
POLLING, STREAMING = 2.5, 0.1
"""Seconds: `poll_after` with a margin, and what the stream promises."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Environment]:
    async with environment(tmp_path, seed=1) as service:
        yield service


def settings(service: Environment, **more: str) -> dict[str, str]:
    base = f"http://127.0.0.1:{service.running.service.port}"
    return {
        "ISSUER": ISSUER,
        "JWKS_URL": f"{base}/.well-known/jwks.json",
        "REVOCATIONS_URL": f"{base}/internal/v1/revocations",
        "SERVICE_API_KEY": SERVICE_KEY,
        **more,
    }


async def seconds_until_refused(app: App, sample: Sample) -> float:
    await app.sign_in()
    assert sample.ask(app.access_token) == f"accept {app.subject} {app.session_id}"
    bearer = f"Bearer {app.access_token}"
    response = await app.line.call("DELETE", "/v1/sessions/current", Authorization=bearer)
    assert response is not None
    assert response.status == 204
    started = time.monotonic()
    while sample.ask(app.access_token).startswith("accept"):
        assert time.monotonic() < started + 10
        time.sleep(0.005)  # noqa: ASYNC251  # the service is another process
    return time.monotonic() - started


@pytest.mark.parametrize("name", ["PyJWT", "jose", "JDK", "Go"])
async def test_a_sample_that_polls_refuses_a_token_within_the_time_to_poll(
    service: Environment, tmp_path: Path, name: str
) -> None:
    command, app = SAMPLES[name](tmp_path / "sample"), service.app("lin", App)
    with running(command, **settings(service)) as sample:
        assert await seconds_until_refused(app, sample) < POLLING
    with running(command, **settings(service)) as started_later:
        assert started_later.ask(app.access_token).startswith("refuse")


@pytest.mark.parametrize("name", ["PyJWT", "jose"])
async def test_a_sample_that_streams_refuses_a_token_within_100_milliseconds(
    service: Environment, tmp_path: Path, name: str
) -> None:
    command, app = SAMPLES[name](tmp_path / "sample"), service.app("lin", App)
    with running(command, **settings(service, REVOCATIONS_STREAM="1")) as sample:
        times = [await seconds_until_refused(app, sample) for _ in range(6)]
    assert min(times) < STREAMING, times  # a busy machine delays some of them
    assert max(times) < POLLING / 2, times
