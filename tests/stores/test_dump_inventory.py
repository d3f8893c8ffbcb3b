"""What stores contain: exactly the columns and fields that docs/privacy.md names, and of an erased
user nothing. The names of keys count too: there are subjects in some.
"""

import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.store_url import parse_store_url
from tests.stores.dump import Keys
from tests.stores.user_journey import everything_that_happens_to
from tests.support.running_app import RunningApp, running_app
from tests.support.valkey.process import Monitor, Server

Column = tuple[str, str]
"""A record and what is in it: a table and a column, or a kind of keys and a field."""
LIMITS = {"rate_limit_login": "9999/minute", "rate_limit_refresh": "9999/minute"}
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
    with Monitor(valkey) as monitor:
        async with running_app(
            tmp_path,
            store_url=parse_store_url(valkey.url),
            session_one_per_device_type=True,
            session_max_per_user=1,
            authing_management_url="http://localhost",
            **LIMITS,
        ) as running:
            await everything_that_happens_to(running, "lin")
            tokens = await running.log_in("lin")
            await running.delete("/v1/me", tokens)
            await running.phone.get("/readyz")
        found = {column for command in monitor.commands() for column in written(command)}
    assert found == documented("Redis")


# --- Redis, after use ---


@pytest.fixture
def keys(valkey: Server) -> Iterator[Keys]:
    with closing(Keys(valkey)) as opened:
        yield opened


@pytest.fixture
async def running(tmp_path: Path, keys: Keys) -> AsyncIterator[RunningApp]:
    async with running_app(
        tmp_path, store_url=parse_store_url(keys.url), session_one_per_device_type=True, **LIMITS
    ) as opened:
        yield opened


async def test_an_erased_user_is_gone_from_redis_within_a_second(
    running: RunningApp, keys: Keys
) -> None:
    theirs = await everything_that_happens_to(running, "chen")
    tokens = await everything_that_happens_to(running, "lin")
    subject, other = tokens["user"]["sub"], theirs["user"]["sub"]
    assert keys.dump().holds(subject)

    began = time.monotonic()
    assert (await running.delete("/v1/me", tokens)).status_code == 204
    dump = keys.dump()

    assert time.monotonic() - began < 1
    assert not dump.holds(subject)
    assert dump.holds(other)


async def test_an_ended_session_has_no_profile_in_redis(running: RunningApp, keys: Keys) -> None:
    await everything_that_happens_to(running, "lin")
    sessions = [keys.fields(name) for name in keys.names() if b":session:" in name]
    with_profile = [fields for fields in sessions if b"encrypted_profile" in fields]
    assert len(with_profile) == 1
    assert len(sessions) > len(with_profile)
    assert b"end_reason" not in with_profile[0]
    assert not any(b"key_thumbprint" in fields for fields in sessions)  # the bound one has ended


async def test_every_key_expires_except_a_ban_without_end(running: RunningApp, keys: Keys) -> None:
    tokens = await everything_that_happens_to(running, "lin")
    subject: str = tokens["user"]["sub"]
    for_now = {"reason": "spam", "until": "2030-01-01T00:00:00Z"}
    await running.backend("PUT", subject, "ban", for_now)
    await running.phone.get("/readyz")
    assert keys.without_end() == []

    await running.backend("PUT", subject, "ban", {"reason": "fraud"})

    without_end = sorted(name.split(b":")[1] for name in keys.without_end())
    assert without_end == [b"ban", b"bans"]  # the ban and its entry in the index
