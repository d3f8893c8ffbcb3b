"""A wire to Authing whose responses have a time."""

from collections.abc import Callable, Mapping

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
        response, date = await self._inner.send(method, url, headers, body), self._date()
        answered = response.header

        def header(name: str) -> str:
            return date if name.lower() == "date" else answered(name)

        response.header = header  # type: ignore[method-assign]
        return response

    @override
    async def aclose(self) -> None:
        await self._inner.aclose()
