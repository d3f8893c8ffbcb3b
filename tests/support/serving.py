"""An application behind a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from app.server.draining import DrainingServer, bind


@dataclass(frozen=True)
class Served:
    server: DrainingServer
    running: asyncio.Task[None]
    port: int


@asynccontextmanager
async def served(app: ASGIApp, **options: Any) -> AsyncIterator[Served]:
    """Serve until the end of the block, with more arguments of `DrainingServer`."""
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    settings: dict[str, Any] = {
        "drain": asyncio.Event(),
        "drain_delay": 0,
        "shutdown_timeout": 5,
        "keep_alive": 60,
    }
    server = DrainingServer(app, on_start=started.set_result, **settings | options)
    with bind("127.0.0.1", 0) as listener:
        running = asyncio.create_task(server.serve(sockets=[listener]))
        yield Served(server, running, await started)
        server.should_exit = True
        await running
