"""Listens to all commands that a server runs, those inside scripts as well (MONITOR)."""

import re
import socket
from contextlib import suppress
from typing import Self

from tests.support.valkey.process import Server

_END = "everything so far"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')


class Monitor:
    """The commands of one server since the monitor was made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        self._connection.sendall(b"MONITOR\r\n")
        self._lines = self._connection.makefile("r", encoding="latin-1")
        assert self._lines.readline().startswith("+OK")

    def commands(self) -> list[list[str]]:
        """Return the commands since the last call, as their words."""
        self._server.cli("ECHO", _END)
        commands: list[list[str]] = []
        for line in self._lines:
            words = _WORD.findall(line)
            if words == ["ECHO", _END]:
                return commands
            commands.append(words)
        raise ConnectionResetError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._lines.close()
        self._connection.close()
