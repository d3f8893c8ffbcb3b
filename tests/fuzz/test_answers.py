"""T7.2 as answers of Authing: whatever JSON it sends, the app is told its trouble by name."""

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


class Parrot(httpx.AsyncBaseTransport):
    """An Authing that says what it has been told, and nothing else."""

    def __init__(self) -> None:
        self.words = b""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        label = {"Content-Type": "application/json"}
        return httpx.Response(200, stream=httpx.ByteStream(self.words), headers=label)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[httpx.AsyncClient, Parrot]]:
    settings, parrot = make_settings(tmp_path_factory.mktemp("parrot")), Parrot()
    keyfile.create(settings.session_keys_file, "ES256")
    hours = itertools.count(step=3600)  # so that no trouble is recent, for the breaker
    async with (
        open_services(
            settings, drain=Drain(), transport=parrot, timer=lambda: float(next(hours))
        ) as services,
        phone_of(create_app(settings, services)) as phone,
    ):
        yield phone, parrot


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "answer", [pytest.param(data, id=f"T7.2-{name}") for name, data in (REFUSED | YES).items()]
)
async def test_whatever_authing_says_is_a_bad_answer_and_no_bug(
    scene: tuple[httpx.AsyncClient, Parrot], answer: bytes
) -> None:
    phone, parrot = scene
    parrot.words = answer
    refusal = await phone.post("/v1/sessions", json={"ticket": "made-up"})
    assert (refusal.status_code, refusal.json()["code"]) == (502, "authing_bad_answer")
