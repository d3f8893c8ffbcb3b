"""The embedded store: tickets, sessions and bans in one SQLite file of one process.

Every command is one transaction, so a decision and its write cannot be separated: generations are
compared and set under the same lock, never by time.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from app.sessions.ports import Stores
from app.stores.sqlite.bans import SqliteBans
from app.stores.sqlite.engine import SqliteEngine
from app.stores.sqlite.maintenance import SqliteMaintenance
from app.stores.sqlite.schema import MIGRATIONS
from app.stores.sqlite.sessions import SqliteSessions
from app.stores.sqlite.tickets import SqliteTickets


@contextmanager
def open_sqlite_store(path: Path) -> Iterator[Stores]:
    """Open or create the file at this path; finish what waits and close it at the end.

    Raises:
        StartupError: one line that says why it cannot be used.
    """
    with closing(SqliteEngine(path, MIGRATIONS)) as engine:
        yield Stores(
            SqliteTickets(engine),
            SqliteSessions(engine),
            SqliteBans(engine),
            SqliteMaintenance(engine),
        )
