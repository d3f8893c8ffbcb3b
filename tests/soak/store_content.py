"""The sessions that the service has left in its store, read after its end."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from app.stores.redis.codec import SESSION_PREFIX


@dataclass(frozen=True, slots=True)
class Kept:
    """`subjects` is whose each session is, by its id. `damage` is empty if the file is sound."""

    subjects: dict[str, str]
    damage: str = ""

    def users_with_two(self) -> int:
        """How many users have more than one session."""
        return sum(count > 1 for count in Counter(self.subjects.values()).values())


def read_file(file: Path) -> Kept:
    """Read the SQLite file. No other process may have it open."""
    with closing(sqlite3.connect(file)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
        rows = db.execute("SELECT id, subject FROM sessions").fetchall()
    return Kept(dict(rows), "" if found == "ok" else str(found))


async def read_valkey(url: str) -> Kept:
    """Read the sessions in Valkey, tombstones included."""
    async with Redis.from_url(url, decode_responses=True, protocol=2) as client:
        keys = [str(key) async for key in client.scan_iter(SESSION_PREFIX + "*", count=1000)]
        subjects = [str(await client.hget(key, "subject")) for key in keys]
    return Kept(dict(zip((key.rpartition(":")[2] for key in keys), subjects, strict=True)))
