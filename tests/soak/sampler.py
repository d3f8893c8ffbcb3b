"""Measure how long requests take beside other load.

The service has cores of its own. Requests are sent one after the other by a process without an
event loop, and the run's own process steps back for it. Otherwise a delay of the clients would
count as one of the service.
"""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from tests.soak.fleet import Fleet
from tests.soak.phone import ME, REFRESH


@dataclass(slots=True)
class Sample:
    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def percentile(self, share: float) -> float:
        return 1000 * sorted(self.seconds)[int(share * len(self.seconds))]


Send: TypeAlias = Callable[[HTTPConnection, str], str | None]
"""Sends a request with this token; gives the token of the next request, or None if it failed."""


def look(connection: HTTPConnection, access_token: str) -> str | None:
    user = _ask(connection, "GET", ME, Authorization=f"Bearer {access_token}")
    return None if user is None else access_token


def refresh(connection: HTTPConnection, refresh_token: str) -> str | None:
    body = json.dumps({"refresh_token": refresh_token})
    tokens = _ask(connection, "POST", REFRESH, body)
    return None if tokens is None else str(tokens["refresh_token"])


@dataclass(frozen=True, slots=True)
class Sampler:
    """Sends requests of one kind at a steady rate, each on a connection of its own."""

    port: int
    process: ProcessPoolExecutor

    async def sample(self, send: Send, token: str, rate: int, seconds: float) -> Sample:
        given = self.port, send, token, rate, int(rate * seconds)
        return await asyncio.get_running_loop().run_in_executor(self.process, _sample, *given)


@contextmanager
def sampler_of(running: Fleet) -> Iterator[Sampler]:
    """Give the service the upper half of the cores, and step back for the sampler on the others."""
    cores = sorted(os.sched_getaffinity(0))
    middle = len(cores) // 2
    others = set(cores[:middle]) or set(cores)
    _pin(running.service.pid, set(cores[middle:]))
    _pin(running.authing.pid, others)
    _pin(os.getpid(), others)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        process.submit(os.getpid).result()  # starts it before this process steps back
        for pid in (running.authing.pid, os.getpid()):
            os.setpriority(os.PRIO_PROCESS, pid, 19)
        yield Sampler(running.service.port or 0, process)


def _pin(pid: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _sample(port: int, send: Send, token: str, rate: int, number: int) -> Sample:
    sample, start = Sample(), time.monotonic()
    for count in range(number):
        time.sleep(max(0.0, start + count / rate - time.monotonic()))
        began = time.monotonic()
        following = send(HTTPConnection("127.0.0.1", port, timeout=20), token)
        sample.failed += following is None
        token = following or token
        sample.seconds.append(time.monotonic() - began)
    return sample


def _ask(
    connection: HTTPConnection, method: str, path: str, body: str | None = None, **headers: str
) -> Any:
    """Return the body of a response 200, else None."""
    headers |= {"Content-Type": "application/json", "Connection": "close"}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return json.loads(content) if response.status == HTTPStatus.OK else None
