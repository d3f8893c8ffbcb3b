"""Authing in this process, for the sandbox and the tests: an application instead of sockets."""

from collections.abc import Mapping, MutableMapping
from typing import Any

from typing_extensions import override
from yarl import URL

from app.authing.transport import Response, Transport


class AsgiTransport(Transport):
    """Calls an ASGI application; an error of it is that of the connection."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        target = URL(url)
        fields = {"host": target.authority, "content-length": str(len(body)), **headers}
        scope = {
            "type": "http",
            "method": method,
            "scheme": target.scheme,
            "path": target.path,
            "query_string": target.raw_query_string.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        }
        messages: list[MutableMapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: MutableMapping[str, Any]) -> None:
            messages.append(message)

        await self._app(scope, receive, send)
        start, *parts = messages
        received = {name.decode(): value.decode() for name, value in start["headers"]}
        return Response(start["status"], received, b"".join(part["body"] for part in parts))

    @override
    async def aclose(self) -> None:
        """There is no connection."""
