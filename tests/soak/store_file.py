"""What the service has left in its SQLite file, read when it has gone."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Kept:
    """`subjects` is whose each session is, by its id. `damage` is empty if the file is sound."""

    subjects: dict[str, str]
    damage: str

    def users_with_two(self) -> int:
        """How many users have more than one session."""
        return sum(count > 1 for count in Counter(self.subjects.values()).values())


def read_store(file: Path) -> Kept:
    """Read the file. Nobody else may have it open."""
    with closing(sqlite3.connect(file)) as db:
        (found,) = db.execute("PRAGMA integrity_check").fetchone()
        rows = db.execute("SELECT id, subject FROM sessions").fetchall()
    return Kept(dict(rows), "" if found == "ok" else str(found))
