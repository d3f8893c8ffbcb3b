"""A store that is closed and opened again whenever nobody is in it.

Under the contract suite it shows that nothing which decides about a session lives in the process:
a restart between any two steps changes no answer.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from app.sessions.models import Ending, Session
from app.sessions.ports import Active, Ended, Replayed, Reused, Rotated, Rotation, Unknown
from app.stores.sqlite import SqliteStore


class RestartingStore:
    def __init__(self, start: Callable[[], SqliteStore]) -> None:
        self._start = start
        self._running: SqliteStore | None = None
        self._inside = 0

    async def add(self, session: Session) -> None:
        with self._open() as store:
            await store.add(session)

    async def see(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        with self._open() as store:
            return await store.see(session_id, generation, now)

    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        with self._open() as store:
            return await store.rotate(rotation)

    async def end(self, session_id: str, reason: Ending, now: datetime) -> bool:
        with self._open() as store:
            return await store.end(session_id, reason, now)

    async def purge(self, now: datetime) -> int:
        with self._open() as store:
            return await store.purge(now)

    async def check_writable(self) -> None:
        with self._open() as store:
            await store.check_writable()

    @contextmanager
    def _open(self) -> Iterator[SqliteStore]:
        store = self._running = self._running or self._start()
        self._inside += 1
        try:
            yield store
        finally:
            self._inside -= 1
            if self._inside == 0:
                store.close()
                self._running = None
