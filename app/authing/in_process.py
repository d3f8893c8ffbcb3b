"""Authing in this process, for the sandbox and the tests: a transport of httpx instead of sockets.

httpx.ASGITransport calls an application. `serve` does not load httpx.
"""

from collections.abc import Mapping

import httpx
from typing_extensions import override

from app.authing.transport import Response, Transport


class HttpxTransport(Transport):
    """Sends through a transport of httpx."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        request = httpx.Request(method, url, headers=headers, content=body)
        return _Response(await self._inner.handle_async_request(request))

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()


class _Response(Response):
    def __init__(self, inner: httpx.Response) -> None:  # there is no connection
        self.status = inner.status_code
        self._inner = inner

    @override
    def header(self, name: str) -> str:
        return str(self._inner.headers.get(name, ""))

    @override
    async def read(self, limit: int) -> bytes:
        return b"".join([part async for part in self._inner.aiter_raw()])

    @override
    async def __aexit__(self, *_error: object) -> None:
        await self._inner.aclose()
