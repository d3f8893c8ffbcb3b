"""A wire to Authing whose responses have a time."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from typing_extensions import override

from app.authing.transport import Response, Transport


class Dated(Transport):
    """Answers with the time of a clock in `Date`."""

    def __init__(self, inner: Transport, date: Callable[[], str]) -> None:
        self._inner = inner
        self._date = date

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        response = await self._inner.send(method, url, headers, body)
        return replace(response, headers={**response.headers, "date": self._date()})

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
