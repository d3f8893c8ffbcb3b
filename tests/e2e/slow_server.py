"""A server with a drain around a small application, to be ended in the middle of its work.

`/hold` answers when a line has come on stdin; everything else says at once whether the drain has
begun. Says its port on stdout.
"""

import argparse
import asyncio
import sys

import uvloop
from starlette.requests import Request
from starlette.responses import Response

from app.api.middleware import RequestContext
from app.server.draining import DrainingServer, bind
from tests.support.fakes import RecordedEvents


async def serve(drain_delay: float, shutdown_timeout: int) -> None:
    drain, released = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), released.set)

    async def respond(request: Request) -> Response:
        if request.url.path == "/hold":
            print("holding", flush=True)  # noqa: T201  # the test waits for it
            await released.wait()
        return Response("draining" if drain.is_set() else "serving")

    server = DrainingServer(
        RequestContext(respond, RecordedEvents()),
        drain=drain,
        drain_delay=drain_delay,
        shutdown_timeout=shutdown_timeout,
        keep_alive=60,
        on_start=lambda port: print(f"port {port}", flush=True),  # noqa: T201
    )
    await server.serve(sockets=[bind("127.0.0.1", 0)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--drain-delay", type=float, required=True)
    parser.add_argument("--shutdown-timeout", type=int, required=True)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.drain_delay, given.shutdown_timeout))
