"""After an erasure, no byte of the append-only file names the user or is their profile."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.sessions.ports import Stores
from app.stores.redis.codec import ERASURE
from tests.stores.builders import ONE, ban_of
from tests.stores.redis.opening import engine_of, fields_of, opened
from tests.stores.steps import add, end, erase, fails, lift, purge, put, run
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.proxy import Proxy
from tests.support.valkey.servers import Server, standalone

USER = "somebody-in-particular"
PROFILE = b"encrypted, but a profile all the same"
PERSONAL = [USER.encode(), PROFILE, b"made-up-phone", b"made-up-tablet"]
PLAIN_TEXT = ["--aof-use-rdb-preamble", "no", "--appendfsync", "always"]
HERS: dict[str, Any] = {"subject": USER, "encrypted_profile": PROFILE}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with standalone(tmp_path, appendonly=True, extra=PLAIN_TEXT) as own:
        yield own


@pytest.fixture
async def store(server: Server, events: RecordedEvents) -> AsyncIterator[Stores]:
    async with opened(server.url, events) as instance:
        yield instance


def on_disk(server: Server) -> bytes:
    """The append-only file, once no rewrite is running."""
    soon(lambda: "aof_rewrite_in_progress:0" in server.cli("INFO", "persistence"))
    return b"".join(file.read_bytes() for file in server.folder.rglob("*.aof"))


async def erase_somebody(server: Server, store: Stores) -> bytes:
    """Return what is on the disk after the next purge."""
    await run(store, add("other", subject="somebody-else"))
    for number, device in enumerate(["made-up-phone", "made-up-tablet", "made-up-phone"]):
        await run(store, add(f"session-{number}", ONE, device_type=device, **HERS))
    await run(store, end(session_id="session-2", subject=USER), add("last", **HERS))
    await run(store, put(ban_of(USER)), lift(USER), erase(subject=USER))
    assert all(word in on_disk(server) for word in PERSONAL)
    await run(store, purge())
    return on_disk(server)


async def test_the_append_only_file_is_rewritten_once_after_an_erasure(
    server: Server, store: Stores
) -> None:
    written = await erase_somebody(server, store)
    assert [word for word in PERSONAL if word in written] == []
    assert b"somebody-else" in written
    await run(store, add("again", subject=USER), purge())
    assert USER.encode() in on_disk(server)


async def test_an_erasure_during_a_rewrite_waits_for_the_next(
    server: Server, store: Stores
) -> None:
    await run(store, add("slow", **HERS))
    server.cli("CONFIG", "SET", "rdb-key-save-delay", "300000")
    server.cli("BGREWRITEAOF")
    await run(store, erase(subject=USER), purge())
    server.cli("CONFIG", "SET", "rdb-key-save-delay", "0")
    assert USER.encode() in on_disk(server)
    await run(store, purge())
    assert USER.encode() not in on_disk(server)


async def test_a_server_that_permits_no_rewrite_is_reported_once(
    server: Server, store: Stores, events: RecordedEvents
) -> None:
    server.cli("ACL", "SETUSER", "default", "-bgrewriteaof")
    assert USER.encode() in await erase_somebody(server, store)
    async with opened(server.url, events) as another:
        await run(another, purge())
    assert fields_of(events, "store_failed") == ["NoPermissionError"]


async def test_an_erasure_waits_for_a_server_that_is_away(server: Server, store: Stores) -> None:
    await run(store, add(subject=USER), erase(subject=USER))
    server.kill()
    assert await fails(purge()(store))
    server.start()
    engine_of(store)._fail_fast_until = float("-inf")
    await run(store, purge())
    assert USER.encode() not in on_disk(server)


async def test_a_rewrite_whose_replies_are_lost_is_asked_for_again(server: Server) -> None:
    with Proxy(server.port) as proxy:
        async with opened(proxy.url) as store:
            await run(store, erase(subject=USER))
            proxy.lose_reply(b"^BGREWRITEAOF", times=2)
            assert await fails(purge()(store))
            assert server.cli("EXISTS", ERASURE) == 1
            on_disk(server)
            await run(store, purge())
            assert server.cli("EXISTS", ERASURE) == 0


async def test_a_server_without_an_append_only_file_writes_none(valkey: Server) -> None:
    async with opened(valkey.url) as store:
        await run(store, erase(subject=USER), purge())
    on_disk(valkey)
    assert list(valkey.folder.rglob("*.aof")) == []
