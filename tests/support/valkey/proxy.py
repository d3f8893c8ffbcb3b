"""A TCP proxy between client and server for the faults of a network, switched at any moment.

It runs in a thread of its own, so that it serves tests with and without an event loop, and the
processes that they start. It reads along: what is lost is lost after a certain command, not after
some time, and a test waits for what has happened instead of sleeping. It expects one reply for
each command, so it does not support subscriptions.
"""

import asyncio
import re
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

import hiredis

from tests.support.valkey import ports

_PATIENCE = 30.0
"""Seconds after which something that has not happened is a failure, on the slowest machine."""
_CHUNK = 64 * 1024
_NOTHING_YET = object()


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
        self.kept = b""
        """What `keep_back` has kept."""
        self._target = target
        self._tls = tls
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self.url = f"{'rediss' if tls else 'redis'}://127.0.0.1:{self.port}"
        self._delay: float | None = 0.0
        self._delay_is_over = asyncio.Event()
        self._doomed: list[re.Pattern[bytes]] = []
        self._late: re.Pattern[bytes] | None = None
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
        """Be a good network again, also for replies that were held; accept connections again."""
        self._doomed.clear()
        self.delay(0.0)
        self._do(self._listen())

    def delay(self, seconds: float | None) -> None:
        """Hold replies this long, each time some arrive; None: until the delay is changed."""
        self._do(self._set_delay(seconds))

    def lose_reply(self, pattern: bytes, *, times: int = 1) -> None:
        """Cut the connection instead of passing on the reply to the next command that matches.

        The server has executed it then. In a transaction, match EXEC: the others are only queued.
        Holds until `pass_through`.
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
            while late.recv(_CHUNK):
                pass

    def cut(self) -> None:
        """Cut all connections. New ones may come."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Refuse new connections, as a host without a server does. Those that are open go on."""
        self._do(self._close_listener())

    def wait_for(self, pattern: bytes) -> None:
        """Wait until a command that matches has gone to the server since the beginning. Blocks."""
        self.wait_until(lambda: any(re.search(pattern, one, re.DOTALL) for one in self.commands))

    def wait_until(self, look: Callable[[], bool]) -> None:
        """Wait until something about the public attributes is so. Blocks.

        In a test with an event loop: `await asyncio.to_thread(proxy.wait_until, look)`.
        """
        with self._news:
            assert self._news.wait_for(look, _PATIENCE), self.commands[-9:]

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    # --- in its own thread ---

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(_PATIENCE)

    async def _set_delay(self, seconds: float | None) -> None:
        self._delay = seconds
        self._delay_is_over.set()
        self._delay_is_over = asyncio.Event()

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
                await self._link(reader, writer)
        finally:
            writer.transport.abort()
            self._links.discard(task)
            self._tell()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry both ways until one side ends, the proxy cuts it, or a reply is to be lost."""
        replies, commands = await asyncio.open_connection("127.0.0.1", self._target)
        losses: deque[bool] = deque()  # for each command without a reply yet: whether to lose it
        ways = [
            asyncio.create_task(self._carry_commands(reader, commands, losses)),
            asyncio.create_task(self._carry_replies(replies, writer, losses)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            commands.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry_commands(
        self, client: asyncio.StreamReader, server: asyncio.StreamWriter, losses: deque[bool]
    ) -> None:
        parser = hiredis.Reader(notEnoughData=_NOTHING_YET)
        silent = False
        while data := await client.read(_CHUNK):
            commands = [b" ".join(words) for words in _parsed(parser, data)]
            silent = silent or self._keeps(commands, data)
            if not silent:  # without what was kept, the rest would make no sense
                server.write(data)
                losses.extend(map(self._note, commands))
                await server.drain()

    async def _carry_replies(
        self, server: asyncio.StreamReader, client: asyncio.StreamWriter, losses: deque[bool]
    ) -> None:
        parser = hiredis.Reader(notEnoughData=_NOTHING_YET)
        while data := await server.read(_CHUNK):
            for reply in _parsed(parser, data):
                if not isinstance(reply, hiredis.PushNotification) and losses.popleft():
                    self._tell(lost=1)
                    return
            if self._delay != 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._delay_is_over.wait(), self._delay)
            client.write(data)
            await client.drain()

    def _keeps(self, commands: Sequence[bytes], data: bytes) -> bool:
        if self._late is None or not any(map(self._late.search, commands)):
            return False
        self._late, self.kept = None, data
        self._tell()
        return True

    def _note(self, command: bytes) -> bool:
        """Note a command; return whether to lose its reply."""
        self.commands.append(command)
        self._tell()
        for pattern in self._doomed:
            if pattern.search(command):
                self._doomed.remove(pattern)
                return True
        return False

    def _tell(self, *, opened: int = 0, lost: int = 0) -> None:
        with self._news:
            self.opened += opened
            self.lost += lost
            self._news.notify_all()


def _parsed(parser: hiredis.Reader, data: bytes) -> Iterator[Any]:
    parser.feed(data)
    while (item := parser.gets()) is not _NOTHING_YET:
        yield item
