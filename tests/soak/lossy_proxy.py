"""A proxy that loses responses and duplicates requests.

A lost response is cut at a random byte after the request was delivered. A duplicate is delivered at
the same time as the original; one of the two responses is returned after both are complete. It is
never delivered later: a copy that arrives after its successor was used looks like theft.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

from tests.soak.http_proxy import HttpProxy, deliver


@dataclass(slots=True)
class LossyProxy(HttpProxy):
    """Passes requests on to the port that `upstream` gives at that moment; None: nothing serves.

    `drops` and `doubles` are shares of 1.
    """

    upstream: Callable[[], int | None]
    drops: float
    doubles: float

    @override
    async def answer(self, request: bytes) -> bytes:
        if self.upstream() is None:
            return b""
        copies = 2 if self.choices.random() < self.doubles else 1
        self.tally["requests doubled"] += copies - 1
        responses = await asyncio.gather(*(self._deliver(request) for _ in range(copies)))
        response = self.choices.choice([a for a in responses if a] or [b""])
        if response and self.choices.random() < self.drops:
            self.tally["responses dropped"] += 1
            return response[: self.choices.randrange(len(response))]
        return response

    async def _deliver(self, request: bytes) -> bytes:
        port = self.upstream()
        if port is None:
            return b""
        self.tally["requests delivered"] += 1
        try:
            response = await deliver(port, request)
        except OSError:
            response = b""
        self.tally["requests that died with the server"] += not response
        return response
