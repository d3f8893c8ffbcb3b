"""Important writes wait for a replica, if there is one, for a tenth of a second."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from app.sessions.models import End, EndReason
from app.sessions.outcomes import Ended, Rotated
from app.sessions.ports import Stores
from app.stores.redis.engine import Replicas, parse_info
from tests.stores.builders import NOW, SUBJECT, ban_of, keep, make_session, rotation_of
from tests.stores.redis.opening import SESSION, engine_of, fields_of, opened
from tests.support.fakes import RecordedEvents
from tests.support.processes import soon
from tests.support.valkey.servers import SentinelTrio, Server

GONE = 0.1
"""Seconds that a write waits for a replica that does not confirm."""


async def rotate(store: Stores, generation: int) -> float:
    begun = time.monotonic()
    outcome = await store.sessions.rotate(rotation_of(generation, session_id=SESSION))
    assert isinstance(outcome, Rotated)
    return time.monotonic() - begun


async def test_an_acknowledged_write_is_on_the_replica(valkey_sentinels: SentinelTrio) -> None:
    events = RecordedEvents()
    async with opened(valkey_sentinels.url, events) as store:
        await keep(store, make_session(SESSION))
        replica = valkey_sentinels.replica
        (key,) = valkey_sentinels.master.cli("KEYS", "*:session:*")
        for generation in range(100):
            await rotate(store, generation)
            assert replica.cli("HGET", key, "generation") == str(generation + 1)
    assert fields_of(events, "write_unconfirmed") == []


async def test_a_frozen_replica_delays_writes_and_is_recorded_but_fails_none(
    valkey_sentinels: SentinelTrio,
) -> None:
    events = RecordedEvents()
    async with opened(valkey_sentinels.url, events) as store:
        await keep(store, make_session(SESSION))
        await rotate(store, 0)
        valkey_sentinels.replica.freeze()
        for generation in range(1, 4):
            assert GONE <= await rotate(store, generation) < 5 * GONE
        assert await store.bans.put(ban_of()) == [SESSION]
        ended = await store.sessions.end(SESSION, SUBJECT, End(EndReason.LOGGED_OUT, NOW))
        assert ended == Ended(EndReason.BANNED)
    assert len(fields_of(events, "write_unconfirmed")) == 5


async def test_a_write_without_replicas_does_not_wait(valkey: Server) -> None:
    events = RecordedEvents()
    async with opened(valkey.url, events) as store:
        await keep(store, make_session(SESSION))
        taken = [await rotate(store, generation) for generation in range(20)]
        assert sorted(taken)[10] < GONE / 2
    assert fields_of(events, "write_unconfirmed") == []


@pytest.fixture
def follower(valkey: Server, tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path, "--save", "", "--replicaof", "127.0.0.1", str(valkey.port)) as replica:
        yield replica


async def test_a_replica_that_connects_later_is_found(valkey: Server, follower: Server) -> None:
    async with opened(valkey.url, RecordedEvents()) as store:
        await keep(store, make_session(SESSION))
        follower.start()
        soon(lambda: "connected_slaves:1" in valkey.cli("INFO", "replication"))
        replicas = engine_of(store)._replicas
        replicas._asked_at = float("-inf")  # some seconds later
        await rotate(store, 0)
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
