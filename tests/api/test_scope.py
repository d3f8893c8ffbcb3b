"""ASGI connections other than HTTP reach the framework unchanged."""

from typing import Any

import pytest
from starlette.types import Message

from tests.support.running_app import RunningApp


@pytest.mark.parametrize(
    ("scope", "received", "answered"),
    [
        ({"type": "lifespan"}, ["lifespan.startup"], ["lifespan.startup.complete"]),
        ({"type": "websocket", "path": "/livez"}, ["websocket.connect"], ["websocket.close"]),
    ],
    ids=["lifespan", "websocket"],
)
async def test_connections_other_than_http_reach_the_framework(
    app: RunningApp, scope: dict[str, Any], received: list[str], answered: list[str]
) -> None:
    incoming = iter([*received, "lifespan.shutdown"])
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": next(incoming)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app.serve()({"headers": [], "query_string": b"", **scope}, receive, send)
    assert [message["type"] for message in sent][:1] == answered
