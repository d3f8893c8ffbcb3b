"""Fills a store with copies of sessions that logins have made, faster than logins can.

A copy differs in its id and its user. The sessions of real logins lie evenly among the copies, so
that refreshes of them touch all parts of the store.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from app.stores.redis.codec import INDEX_PREFIX, SESSION_PREFIX
from tests.support.valkey.servers import Server

_FAST = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -2000000", "temp_store = MEMORY")
_NEW = {"id": "hex(randomblob(11))", "subject": "lower(hex(randomblob(12)))"}
_INDEXES = """
    SELECT name, sql FROM main.sqlite_schema
    WHERE tbl_name = 'sessions' AND type = 'index' AND sql IS NOT NULL
"""
_INSERT = """
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})
    INSERT INTO main.sessions
    SELECT {values} FROM n JOIN source.sessions AS s ON s.rowid = 1 + i / {step}
"""
_PER_SCRIPT = 10_000
_COPY = """
local sessions, indexes, step = ARGV[1], ARGV[2], tonumber(ARGV[3])
for number = 2, step do
  for _, key in ipairs(KEYS) do
    local random = redis.sha1hex(key .. number)
    local id, subject = string.sub(random, 1, 22), string.sub(random, 17)
    redis.call('COPY', key, sessions .. id)
    redis.call('HSET', sessions .. id, 'id', id, 'subject', subject)
    redis.call('ZADD', indexes .. subject, redis.call('HGET', key, 'created_at') * 1000000, id)
    redis.call('EXPIRE', indexes .. subject, redis.call('TTL', key))
  end
end
"""


def fill_sqlite(source: Path, target: Path, count: int) -> tuple[int, int]:
    """Make a file with about `count` sessions, from a small one that no process uses.

    It takes any columns, and makes the indexes at the end. Returns the numbers of
    sessions in both.
    """
    shutil.copy(source, target)
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        for setting in _FAST:
            db.execute(f"PRAGMA {setting}")
        db.execute("ATTACH ? AS source", (str(source),))
        (logins,) = db.execute("SELECT max(rowid) FROM source.sessions").fetchone()
        step = max(1, count // logins)
        columns = [row[1] for row in db.execute("PRAGMA main.table_info(sessions)")]
        values = [f"iif(i % {step}, {_NEW[c]}, {c})" if c in _NEW else c for c in columns]
        indexes = db.execute(_INDEXES).fetchall()
        db.execute("BEGIN")
        for name, _ in indexes:
            db.execute(f"DROP INDEX main.{name}")
        db.execute("DELETE FROM main.sessions")
        db.execute(_INSERT.format(values=", ".join(values), step=step, count=step * logins))
        for _, sql in indexes:
            db.execute(sql)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    return logins, step * logins


def fill_valkey(server: Server, count: int) -> tuple[int, int]:
    """Copy all sessions to about `count`; return how many there were, and how many copies."""
    server.cli("CONFIG", "SET", "auto-aof-rewrite-percentage", 0)  # none during the measurement
    keys = server.cli("KEYS", SESSION_PREFIX + "*")
    step = max(1, count // len(keys))
    chunk = max(1, _PER_SCRIPT // step)
    for first in range(0, len(keys), chunk):
        some = keys[first : first + chunk]
        server.cli("EVAL", _COPY, len(some), *some, SESSION_PREFIX, INDEX_PREFIX, step)
    return len(keys), (step - 1) * len(keys)
