"""Closing a connection so that the peer can still read why.

Who closes a socket while the peer is sending makes the kernel answer with a reset, and a reset may
destroy an answer that the peer has not read yet (RFC 9112 section 9.6).
"""

import asyncio


class LingeringClose(asyncio.Transport):
    """A transport whose `close()` ends only our side. Who made it must close it fully in time."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send."""
        self._transport.write(data)

    def is_closing(self) -> bool:
        """Whether nothing more can be sent."""
        return self._ended or self._transport.is_closing()

    def close(self) -> None:
        """Send nothing more. The peer's end, or the maker's deadline, closes the connection."""
        if not self.is_closing():
            self._ended = True
            self._transport.write_eof()
