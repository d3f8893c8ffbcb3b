"""Authing in this process, for the sandbox and the tests: an application instead of sockets.

`serve` does not load httpx.
"""

from collections.abc import Mapping
from typing import Any

import httpx
from typing_extensions import override

from app.authing.transport import Response, Transport


class AsgiTransport(Transport):
    """Calls an ASGI application; an error of it is that of the connection."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        request = httpx.Request(method, url, headers=headers, content=body)
        response = await self._transport.handle_async_request(request)
        return Response(response.status_code, response.headers, await response.aread())

    @override
    async def __aexit__(self, *_error: object) -> None:
        """There is no connection."""
