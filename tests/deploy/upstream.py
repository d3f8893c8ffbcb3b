"""A service that takes a request and dies before it answers, over and over."""

import socketserver
from threading import Thread
from typing import Self


class _DiesOnRequest(socketserver.BaseRequestHandler):
    server: "FrailUpstream"

    def handle(self) -> None:
        if self.request.recv(65536):
            self.server.requests += 1


class FrailUpstream(socketserver.ThreadingTCPServer):
    """Counts what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _DiesOnRequest)
        self.requests = 0
        self.port = int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
