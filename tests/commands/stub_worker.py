"""A real worker around the smallest application, which tells whose answer it is.

`/` tells the process and whether it drains; `/hold` answers when there is a file `release` in the
current folder; `/stuck` blocks the whole process. While there is a file `refuse`, none starts.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from app.commands import worker
from app.config import Settings
from app.errors import StartupError
from app.server.draining import Drain
from app.telemetry.logs import log
from app.telemetry.metrics import Metrics

REFUSAL = "STORE_URL: is out of order"


def there_is(name: str) -> bool:
    return Path(name).exists()


@asynccontextmanager
async def opened(_settings: Settings, drain: Drain) -> AsyncIterator[ASGIApp]:
    if there_is("refuse"):
        raise StartupError(REFUSAL)
    record = Metrics().counting(log)

    async def application(scope: Scope, _receive: Receive, send: Send) -> None:
        print(f"asked {scope['path']} {os.getpid()}", flush=True)  # noqa: T201  # tests wait for it
        while scope["path"] == "/hold" and not there_is("release"):  # noqa: ASYNC110  # no bell rings
            await asyncio.sleep(0.01)
        if scope["path"] == "/stuck":
            time.sleep(600)  # noqa: ASYNC251  # that is what stuck means
        record("request", method="GET", route="/", status=200, duration_ms=0)
        text = f"{os.getpid()} {'draining' if drain.started() else 'serving'}"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    print(f"worker {os.getpid()}", flush=True)  # noqa: T201  # tests look for these
    print("counts in", os.environ.get("PROMETHEUS_MULTIPROC_DIR"), flush=True)  # noqa: T201
    yield application


if __name__ == "__main__":
    sys.exit(worker.run(*worker.descriptors(), opened))
