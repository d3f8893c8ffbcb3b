"""docs/privacy.md names exactly the columns and fields that the stores contain."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from app.store_url import parse_store_url
from tests.stores.user_journey import everything_that_happens_to
from tests.support.running_app import running_app
from tests.support.valkey.process import Monitor, Server

Column = tuple[str, str]
"""A record and what is in it: a table and a column, or a kind of keys and a field."""
PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
KINDS = {
    "sessions": r"\{tg\}:session:.+",
    "index": r"\{tg\}:sessions-of:.+",
    "tombstones": r"\{tg\}:tombstones-of:.+",
    "swept": r"\{tg\}:swept:.+",
    "records": r"\{tg\}:record:.+",
    "record index": r"\{tg\}:records-of:.+",
    "ban notes": r"\{tg\}:ban-notes-of:.+",
    "erasure": r"\{tg\}:erasure",
    "events": r"\{tg\}:events",
    "replies": r"\{tg\}:reply:.+",
    "looks": r"\{tg\}:look:.+",
    "bans": r"\{tg\}:ban:.+",
    "ban index": r"\{tg\}:bans",
    "tickets": r"\{tg\}:ticket:[0-9a-f]{64}",
    "keys": r"\{tg\}:idempotency-key:[0-9a-f]{64}",
    "probe": r"\{tg\}:writable",
    "counts": r"\{tg\}:limit:(login|list|refresh):[0-9a-f]{32}",
}
WRITES_FIELDS = {"HSET", "HSETNX", "XADD"}
WRITES_A_VALUE = {"SET", "ZADD", "RPUSH", "INCR", "INCRBY"}
LEAVES_NOTHING_NEW = {
    *("HDEL", "DEL", "ZREM", "LPOP", "EXPIRE", "PERSIST", "PEXPIRE", "ZREMRANGEBYSCORE", "XTRIM"),
    *("LTRIM", "EXISTS", "TTL", "PTTL", "GET", "TYPE", "HGET", "HMGET", "HGETALL", "LRANGE"),
    *("LINDEX", "ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCOUNT", "XRANGE"),
    *("EVAL", "EVALSHA", "SCRIPT", "CONFIG", "INFO", "PING", "TIME", "BGREWRITEAOF"),
    *("HELLO", "CLIENT", "COMMAND", "ECHO", "ROLE", "SELECT", "WAIT"),
}


def documented(store: str) -> set[Column]:
    """The rows of the page's inventory that have a mark in the column of this store."""
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")]
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| `")
    ]
    place = {"SQLite": 2, "Redis": 3}[store]
    return {(row[0], row[1]) for row in rows if row[place] == "•"}


def written(command: list[str]) -> Iterator[Column]:
    name, *words = command
    if name.upper() in LEAVES_NOTHING_NEW:
        return
    kind = next((kind for kind, form in KINDS.items() if re.fullmatch(form, words[0])), None)
    assert kind, f"KINDS lacks the key of {command}"
    if name.upper() in WRITES_FIELDS:
        for field in words[1 + (name == "XADD") :: 2]:
            yield kind, field.partition(":")[0]
    else:
        assert name.upper() in WRITES_A_VALUE, name
        yield kind, "value"


async def test_the_inventory_names_every_column_of_sqlite(tmp_path: Path) -> None:
    async with running_app(tmp_path) as running:
        with closing(sqlite3.connect(running.store_file)) as database:
            found = set(
                database.execute(
                    "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c"
                    " WHERE t.type = 'table'"
                )
            )
    assert found == documented("SQLite")


async def test_the_inventory_names_every_field_of_redis(tmp_path: Path, valkey: Server) -> None:
    limits = {"rate_limit_login": "9999/minute", "rate_limit_refresh": "9999/minute"}
    with Monitor(valkey) as monitor:
        async with running_app(
            tmp_path,
            store_url=parse_store_url(valkey.url),
            session_one_per_device_type=True,
            session_max_per_user=1,
            authing_management_url="http://localhost",
            **limits,
        ) as running:
            await everything_that_happens_to(running, "lin")
            tokens = await running.log_in("lin")
            await running.delete("/v1/me", tokens)
            await running.phone.get("/readyz")
        found = {column for command in monitor.commands() for column in written(command)}
    assert found == documented("Redis")
