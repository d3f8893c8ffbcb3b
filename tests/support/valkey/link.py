"""One client's connection through the proxy: it carries bytes both ways, and counts commands and
replies so that the proxy can take away the reply of a certain command.

It expects one reply for each command, so it does not support subscriptions.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis

_CHUNK = 64 * 1024
_NOTHING_YET = object()


@dataclass
class Mode:
    """How the network is until the next mode; `over` is set then."""

    delay: float | None = 0.0
    """Seconds for which replies are held, each time some arrive; None: until the mode is over."""
    swallows: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self) -> None:
        try:
            await asyncio.wait_for(self.over.wait(), self.delay)
        except TimeoutError:
            return


@dataclass(frozen=True)
class Rules:
    """What a link asks the proxy."""

    mode: Callable[[], Mode]
    keeps: Callable[[Sequence[bytes], bytes], bool]
    """Called with the commands in some bytes, and with these; returns whether to keep them back."""
    dooms: Callable[[bytes], bool]
    """Called with each command sent to the server; returns whether to lose its reply."""
    lost: Callable[[], None]


@dataclass(frozen=True)
class Side:
    """One of the two streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Link:
    """Carries until one side ends, the proxy cuts it, or a reply is to be lost."""

    def __init__(self, client: Side, server: Side, rules: Rules) -> None:
        self._client = client
        self._server = server
        self._rules = rules
        self._asked = 0
        self._replied = 0
        self._doomed: set[int] = set()
        self._silent = False

    async def run(self) -> None:
        """Carry until the end. Both sides are still open then.

        Raises:
            OSError: a side has gone without a word.
        """
        ways = [asyncio.create_task(self._commands()), asyncio.create_task(self._replies())]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _commands(self) -> None:
        parser = hiredis.Reader(notEnoughData=_NOTHING_YET)
        while data := await self._client.reader.read(_CHUNK):
            if self._swallowed():
                continue
            commands = [b" ".join(words) for words in _parsed(parser, data)]
            if self._rules.keeps(commands, data):
                self._silent = True
                continue
            self._server.writer.write(data)
            for command in commands:
                self._asked += 1
                if self._rules.dooms(command):
                    self._doomed.add(self._asked)
            await self._server.writer.drain()

    async def _replies(self) -> None:
        parser = hiredis.Reader(notEnoughData=_NOTHING_YET)
        while data := await self._server.reader.read(_CHUNK):
            if self._is_lost(parser, data):
                return
            if (mode := self._rules.mode()).delay != 0:
                await mode.hold()
            if not self._swallowed():
                self._client.writer.write(data)
                await self._client.writer.drain()

    def _swallowed(self) -> bool:
        """Once bytes are missing, the rest would make no sense: it stays silent for good."""
        self._silent = self._silent or self._rules.mode().swallows
        return self._silent

    def _is_lost(self, parser: hiredis.Reader, data: bytes) -> bool:
        for reply in _parsed(parser, data):
            if not isinstance(reply, hiredis.PushNotification):
                self._replied += 1
                if self._replied in self._doomed:
                    self._rules.lost()
                    return True
        return False


def _parsed(parser: hiredis.Reader, data: bytes) -> Iterator[Any]:
    parser.feed(data)
    while (item := parser.gets()) is not _NOTHING_YET:
        yield item
