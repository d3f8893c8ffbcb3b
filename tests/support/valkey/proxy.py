"""A TCP proxy between client and server for the faults of a network, switched at any moment.

It runs in a thread of its own, so that it serves tests with and without an event loop, and the
processes that they start. It reads along: what is lost is lost after a certain command, not after
some time, and a test waits for what has happened instead of sleeping.
"""

import asyncio
import re
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Self

from tests.support.valkey import ports
from tests.support.valkey.link import Link, Mode, Rules, Side

_PATIENCE = 30.0
"""Seconds after which something that has not happened is a failure, on the slowest machine."""


class Proxy:
    """A proxy on a port of 127.0.0.1 that is its own, in front of another port there.

    With `tls`, a server's context, clients have to speak TLS; the server behind never does. Every
    method may be called from any thread, and what it does has been done when it returns.
    """

    def __init__(self, target: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.opened = 0
        """Connections that clients have made so far."""
        self.lost = 0
        """Replies that `lose_reply` has lost so far."""
        self.commands: list[bytes] = []
        """What went to the server, in order: each command's words with one space between."""
        self._target = target
        self._tls = tls
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self.port}"
        self._mode = Mode()
        self._doomed: list[re.Pattern[bytes]] = []
        self.kept = b""
        """What `keep_back` has kept."""
        self._late: re.Pattern[bytes] | None = None
        self._rules = Rules(lambda: self._mode, self._keep, self._note, self._count_lost)
        self._links: set[asyncio.Task[Any]] = set()
        self._listener: asyncio.Server | None = None
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    @property
    def open(self) -> int:
        """Connections of clients that are open now."""
        return len(self._links)

    def pass_through(self) -> None:
        """Be a good network again, also for replies that were held; accept connections again.

        A connection of which `swallow` has taken bytes stays silent.
        """
        self._doomed.clear()
        self._do(self._switch(Mode()))
        self._do(self._listen())

    def delay(self, seconds: float) -> None:
        """Hold replies this long, each time some arrive."""
        self._do(self._switch(Mode(delay=seconds)))

    def hold(self) -> None:
        """Let commands through and hold all replies until another mode is set."""
        self._do(self._switch(Mode(delay=None)))

    def swallow(self) -> None:
        """Accept connections and pass nothing on, either way; of TLS, the handshake is done."""
        self._do(self._switch(Mode(swallows=True)))

    def lose_reply(self, pattern: bytes, *, times: int = 1) -> None:
        """Cut the connection instead of passing on the reply to the next command that matches.

        The server has executed it then. In a transaction, match EXEC: the others are only queued.
        Holds in every mode, until `pass_through`.
        """
        self._doomed += [re.compile(pattern, re.DOTALL)] * times

    def keep_back(self, pattern: bytes) -> None:
        """Keep the next command that matches until `deliver`; its connection stays silent."""
        self._late = re.compile(pattern, re.DOTALL)

    def deliver(self) -> None:
        """Let the server execute what was kept back, as if the network had taken so long."""
        assert self.kept, "nothing was kept back"
        with socket.create_connection(("127.0.0.1", self._target)) as late:
            late.sendall(self.kept)
            late.shutdown(socket.SHUT_WR)
            while late.recv(65536):
                pass

    def cut(self) -> None:
        """Cut all connections. New ones may come."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Refuse new connections, as a host without a server does. Those that are open go on."""
        self._do(self._close_listener())

    def wait_for(self, pattern: bytes, *, times: int = 1) -> None:
        """Wait until so many commands that match have gone to the server since the beginning.

        Blocks; in a test with an event loop: `await asyncio.to_thread(proxy.wait_for, pattern)`.
        """
        wanted = re.compile(pattern, re.DOTALL)
        self.wait_until(lambda: sum(bool(wanted.search(one)) for one in self.commands) >= times)

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Wait until something about `commands`, `open`, `opened` or `lost` is so. Blocks."""
        with self._news:
            assert self._news.wait_for(look, _PATIENCE), self.commands[-9:]

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close_listener())
        self._do(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_PATIENCE)

    async def _switch(self, mode: Mode) -> None:
        before, self._mode = self._mode, mode
        before.over.set()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._accept, "127.0.0.1", self.port, ssl=self._tls
            )

    async def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _cut(self) -> None:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        self._tell(opened=1)
        try:
            with suppress(OSError, asyncio.CancelledError):  # `cut` cancels
                await self._serve(Side(reader, writer))
        finally:
            writer.transport.abort()
            self._links.discard(task)
            self._tell()

    async def _serve(self, client: Side) -> None:
        server = Side(*await asyncio.open_connection("127.0.0.1", self._target))
        try:
            await Link(client, server, self._rules).run()
        finally:
            server.writer.transport.abort()

    def _keep(self, commands: Sequence[bytes], data: bytes) -> bool:
        if self._late is None or not any(map(self._late.search, commands)):
            return False
        with self._news:
            self._late, self.kept = None, data
            self._news.notify_all()
        return True

    def _note(self, command: bytes) -> bool:
        with self._news:
            self.commands.append(command)
            self._news.notify_all()
        for pattern in self._doomed:
            if pattern.search(command):
                self._doomed.remove(pattern)
                return True
        return False

    def _count_lost(self) -> None:
        self._tell(lost=1)

    def _tell(self, *, opened: int = 0, lost: int = 0) -> None:
        with self._news:
            self.opened += opened
            self.lost += lost
            self._news.notify_all()
