"""A relay to Authing with the service's own HTTP client and log line, and no logic.

It forwards the ticket, reads the response and returns it unchanged. It verifies and stores nothing.
"""

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from app.authing.response import deadline, read_json, send
from app.authing.transport import AuthingTransport
from app.telemetry import logs

_SECRET = os.environ["POOL_SECRET"]
_URL = f"{os.environ['UPSTREAM']}/oauth/app2wxapp/auth/{os.environ['POOL_ID']}"

logs.configure("info", "json")
_events = logs.LoggedEvents()
_transport = AuthingTransport(None)


async def app(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    reply: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Forward one login."""
    if scope["type"] != "http":
        return
    body = await _body(receive)
    if scope["method"] == "POST":
        ticket = json.loads(body)["ticket"]
        async with deadline(6):
            request = {"ticket": ticket, "secret": _SECRET}
            response = await send(_transport, "POST", _URL, json=request)
        body = json.dumps(read_json(response)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await reply({"type": "http.response.start", "status": 200, "headers": headers})
    await reply({"type": "http.response.body", "body": body})
    _events.record("request", method=scope["method"], route=scope["path"], status=200)


async def _body(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body
