"""Any JSON that Authing may send: the login fails as `authing_bad_answer`, never as a bug."""

import itertools
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app import keyfile
from app.main import create_app, open_services
from app.server.draining import Drain
from tests.support.json_documents import REFUSED, YES
from tests.support.running_app import make_settings, phone_of
from tests.support.sampling import sampled


class FixedResponse(httpx.AsyncBaseTransport):
    """Answers every request with `content`."""

    def __init__(self) -> None:
        self.content = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        label = {"Content-Type": "application/json"}
        return httpx.Response(200, stream=httpx.ByteStream(self.content), headers=label)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[httpx.AsyncClient, FixedResponse]]:
    settings, authing = make_settings(tmp_path_factory.mktemp("authing")), FixedResponse()
    keyfile.create(settings.session_keys_file, "ES256")
    hours = itertools.count(step=3600)  # so that the breaker stays closed
    async with (
        open_services(
            settings, drain=Drain(), transport=authing, timer=lambda: float(next(hours))
        ) as services,
        phone_of(create_app(settings, services)) as phone,
    ):
        yield phone, authing


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("response", sampled(REFUSED | YES))
async def test_json_without_a_user_is_a_bad_answer(
    scene: tuple[httpx.AsyncClient, FixedResponse], response: bytes
) -> None:
    phone, authing = scene
    authing.content = response
    refusal = await phone.post("/v1/sessions", json={"ticket": "made-up"})
    assert (refusal.status_code, refusal.json()["code"]) == (502, "authing_bad_answer")
