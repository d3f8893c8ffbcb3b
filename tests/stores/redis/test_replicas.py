"""Important writes wait for a replica, if there is one, for a tenth of a second."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from app.sessions.models import EndReason
from app.sessions.outcomes import Ended, Rotated
from app.sessions.ports import Stores
from app.stores.redis.engine import Replicas, parse_info
from tests.stores.builders import ban_of
from tests.stores.redis.opening import engine_of, fields_of, opened
from tests.stores.steps import add, end, play, put, rotate, run
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.servers import SentinelTrio, Server

GONE = 0.1
"""Seconds that a write waits for a replica that does not confirm."""


@pytest.fixture
async def store(request: pytest.FixtureRequest, events: RecordedEvents) -> AsyncIterator[Stores]:
    """A store with a session, on the servers of the named fixture."""
    async with opened(request.getfixturevalue(request.param).url, events) as instance:
        await run(instance, add())
        yield instance


alone = pytest.mark.parametrize("store", ["valkey"], indirect=True)
replicated = pytest.mark.parametrize("store", ["valkey_sentinels"], indirect=True)


async def timed_rotate(store: Stores, generation: int) -> float:
    begun = time.monotonic()
    await play(store, (rotate(generation), Rotated))
    return time.monotonic() - begun


@replicated
async def test_an_acknowledged_write_is_on_the_replica(
    valkey_sentinels: SentinelTrio, store: Stores, events: RecordedEvents
) -> None:
    replica = valkey_sentinels.replica
    (key,) = valkey_sentinels.master.cli("KEYS", "*:session:*")
    for generation in range(100):
        await run(store, rotate(generation))
        assert replica.cli("HGET", key, "generation") == str(generation + 1)
    assert fields_of(events, "write_unconfirmed") == []


@replicated
async def test_a_frozen_replica_delays_writes_and_is_recorded_but_fails_none(
    valkey_sentinels: SentinelTrio, store: Stores, events: RecordedEvents
) -> None:
    await run(store, rotate(0))
    valkey_sentinels.replica.freeze()
    for generation in range(1, 4):
        assert GONE <= await timed_rotate(store, generation) < 5 * GONE
    await play(store, (put(ban_of()), ["session-a"]), (end(), Ended(EndReason.BANNED)))
    assert len(fields_of(events, "write_unconfirmed")) == 5


@alone
async def test_a_write_without_replicas_does_not_wait(
    store: Stores, events: RecordedEvents
) -> None:
    taken = [await timed_rotate(store, generation) for generation in range(20)]
    assert sorted(taken)[10] < GONE / 2
    assert fields_of(events, "write_unconfirmed") == []


@alone
async def test_a_replica_that_connects_later_is_found(
    valkey: Server, store: Stores, tmp_path: Path
) -> None:
    with Server(tmp_path, "--save", "", "--replicaof", "127.0.0.1", str(valkey.port)) as follower:
        follower.start()
        soon(lambda: "connected_slaves:1" in valkey.cli("INFO", "replication"))
        replicas = engine_of(store)._replicas
        replicas._asked_at = float("-inf")  # some seconds later
        await run(store, rotate(0))
        assert replicas._count == 1


@pytest.mark.parametrize("reached", [0, 1, 2])
def test_a_write_is_confirmed_by_any_number_of_replicas(reached: int) -> None:
    assert Replicas().confirmed([reached, b"connected_slaves:2"]) is (reached > 0)


def test_a_server_that_refuses_info_is_asked_for_no_confirmation() -> None:
    replicas = Replicas()
    assert replicas.confirmed([0, ResponseError("unknown command")])
    assert list(replicas.questions()) == []


@pytest.mark.parametrize("reply", [b"", b"odd", b"# Replication\r\na:b=1,c\r\n\xff:1", None, 7])
def test_an_odd_reply_to_info_is_parsed_as_far_as_it_goes(reply: object) -> None:
    assert "connected_slaves" not in parse_info(reply)
    if isinstance(reply, bytes):
        assert parse_info(b"connected_slaves:2\r\n" + reply)["connected_slaves"] == "2"
