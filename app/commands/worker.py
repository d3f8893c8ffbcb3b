"""One of several server processes over one listening socket, as `supervisor` starts them.

It takes settings and orders from its supervisor alone, over a channel of their own. A signal that
reaches every process of a group (systemd sends such) would otherwise arrive twice, and the second
one means: do not wait for the balancers.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import TypeAlias

import uvloop
from starlette.types import ASGIApp

from app.commands.serve import server_of
from app.commands.supervisor import Assignment
from app.config import Settings
from app.errors import StartupError
from app.main import create_app, open_services
from app.server import hardening
from app.server.draining import Drain, DrainingServer
from app.telemetry import logs, shared_metrics

Opened: TypeAlias = Callable[[Settings, Drain], AbstractAsyncContextManager[ASGIApp]]
"""Opens what the application needs, for as long as the context is."""
_REFUSED = 2
_ORPHAN_SECONDS = 5
"""How long requests in flight may take after the supervisor was killed. Its successor waits for
the address."""


@asynccontextmanager
async def open_application(settings: Settings, drain: Drain) -> AsyncIterator[ASGIApp]:
    """The application of `serve`."""
    async with open_services(settings, drain=drain) as services:
        yield create_app(settings, services)


def run(channel: Connection, listener: socket.socket, opened: Opened = open_application) -> int:
    """Serve until ordered to stop; the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    assignment: Assignment = channel.recv()
    logs.configure(assignment.settings.log_level, assignment.settings.log_format)
    if assignment.metrics_folder is not None:
        shared_metrics.count_into(assignment.metrics_folder, assignment.slot)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(assignment.settings, channel, listener, opened))
    except StartupError as error:
        print(f"ticketgate: {error}", file=sys.stderr)  # noqa: T201  # as the command itself does
        return _REFUSED
    finally:
        _clear_up_after(assignment)
    return 0


async def _serve(
    settings: Settings, channel: Connection, listener: socket.socket, opened: Opened
) -> None:
    def report(port: int) -> None:
        with suppress(OSError):  # nobody is there any more, which `_obey` will find
            channel.send(port)

    drain = Drain()
    async with opened(settings, drain) as application:
        server = server_of(settings, application, drain=drain, on_start=report)
        # In a thread, so that a loop that is stuck does not outlive its supervisor.
        Thread(target=_obey, args=(channel, server), daemon=True).start()
        await server.serve(sockets=[listener])


def _obey(channel: Connection, server: DrainingServer) -> None:
    """Follow orders, and when nobody is left to give them, leave."""
    with suppress(EOFError, OSError):
        while True:
            server.handle_exit(channel.recv(), None)
    signal.alarm(_ORPHAN_SECONDS)  # nothing handles it, so it ends the process whatever it does
    server.handle_exit(signal.SIGINT, None)


def _clear_up_after(assignment: Assignment) -> None:
    """Remove what a killed supervisor could not."""
    if assignment.metrics_folder is not None and os.getppid() != assignment.supervisor:
        shutil.rmtree(assignment.metrics_folder, ignore_errors=True)


def descriptors() -> tuple[Connection, socket.socket]:
    """The channel and the listening socket that the supervisor has put on the command line."""
    channel, listener = map(int, sys.argv[1:])
    return Connection(channel), socket.socket(fileno=listener)


if __name__ == "__main__":
    hardening.disable_core_dumps()
    sys.exit(run(*descriptors()))
