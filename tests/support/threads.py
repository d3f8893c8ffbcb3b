"""Servers of the standard library in a thread."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from threading import Thread
from typing import Any, TypeVar

from typing_extensions import override

S = TypeVar("S", bound=BaseServer)


@contextmanager
def serving_in_thread(server: S) -> Iterator[S]:
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Request:
    """What a server received."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def http_server(answer: Callable[[Request], Response]) -> Iterator[int]:
    """Answer each request on a connection of its own; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self._answer
            raise AttributeError(name)

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            given = answer(Request(self.command, self.path, self.headers.items(), body))
            self.send_response(given.status)
            length = {"Content-Length": str(len(given.body)), "Connection": "close"}
            for header in {**given.headers, **length}.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(given.body)

        @override
        def log_message(self, *_: object) -> None:
            pass

    with serving_in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port
