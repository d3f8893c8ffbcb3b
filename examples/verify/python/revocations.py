"""The revocation feed of Ticketgate: sessions that ended before their access tokens expire."""

import json
import logging
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator
from http.client import HTTPException
from typing import Any

_PAUSE_AFTER_FAILURE = 1.0
_SILENCE = 30.0
"""Seconds: a stream that is silent for longer is dead."""


class Revocations:
    """The ids of ended sessions. Follows the feed in a thread; `in` asks it.

    While the feed cannot be reached, what is known stays in force, and a logout counts when the
    access token expires.
    """

    def __init__(self, url: str, service_key: str, *, stream: bool) -> None:
        self._url, self._service_key, self._stream = url, service_key, stream
        self._expires: dict[str, int] = {}
        self._cursor = ""
        self.complete = threading.Event()
        """Set when all that has ended so far is known: wait for it before you serve."""
        threading.Thread(target=self._follow, daemon=True).start()

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._expires

    def _follow(self) -> None:
        while True:
            try:
                while not (pause := self._poll()):
                    pass  # there is more
                self.complete.set()
                if self._stream:
                    self._listen()
            except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
                logging.warning("the revocation feed cannot be followed: %r", error)
                pause = _PAUSE_AFTER_FAILURE
            time.sleep(pause)

    def _poll(self) -> float:
        """Ask once; return the seconds until the next time: 0 if there is more already."""
        with self._open("application/json") as response:
            page = json.load(response)
        for event in page["events"]:
            self._add(event)
        self._cursor = page["cursor"]
        return float(page["poll_after"])

    def _listen(self) -> None:
        """Take events as they come, until the connection ends."""
        with self._open("text/event-stream") as response:
            for event in _server_sent(response):
                self._add(json.loads(event["data"]))
                self._cursor = event["id"]

    def _add(self, event: dict[str, Any]) -> None:
        self._expires[event["sid"]] = event["expires_at"]
        # The oldest ones: none of their access tokens is valid any more.
        while (oldest := next(iter(self._expires), None)) and self._expires[oldest] <= time.time():
            del self._expires[oldest]

    def _open(self, accept: str) -> Any:
        after = urllib.parse.urlencode({"after": self._cursor} if self._cursor else {})
        headers = {"Authorization": f"Bearer {self._service_key}", "Accept": accept}
        request = urllib.request.Request(f"{self._url}?{after}".rstrip("?"), headers=headers)
        return urllib.request.urlopen(request, timeout=_SILENCE)


def _server_sent(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """Read server-sent events. An empty line ends one; a line that begins with a colon is none."""
    event: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        if name:
            event[name] = value.removeprefix(" ")
        elif "data" in event:
            yield event
            event = {}
