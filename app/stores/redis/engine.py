"""One Redis or Valkey, however it is deployed: scripts that run once, in bounded time.

The client library never repeats a command by itself here. Whether a script ran is unknown when its
answer is lost, so it is run a second time under the same attempt's name, and the script tells what
the first run did. It knows scripts and replies, nothing of sessions.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

from redis import exceptions
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode

from app.errors import StoreUnavailable
from app.stores.redis.codec import epoch
from app.stores.redis.replicas import Replicas
from app.stores.redis.scripts import Script

T = TypeVar("T")
Client: TypeAlias = Redis | RedisCluster
Word: TypeAlias = str | bytes | int

CONNECTIONS = 16
"""So many commands at once; who comes on top waits for as long as others are answered."""
_SECONDS = 1.0
"""No command takes longer, a second run included."""
_NOBODY_SECONDS = 0.9
"""A timer may go off a little early, uvloop's do."""
_SILENCE_SECONDS = 0.5
"""When nobody was answered for that long, those who wait are told at once for so long."""
_THE_ONLY = ""
"""The name of the one master where there is no cluster."""
_FAILURES = (
    exceptions.RedisError,
    exceptions.RedisClusterException,  # which is none of the former: no node could be asked
    OSError,
    TimeoutError,
    RuntimeError,  # uvloop's word for writing to a connection that has just gone
)


class RedisEngine:
    """Runs scripts and plain commands."""

    def __init__(self, client: Client, record: Callable[..., None]) -> None:
        self._client = client
        self._record = record
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._answered_at = float("-inf")
        self._silent_until = float("-inf")
        self._replicas: dict[str, Replicas] = defaultdict(Replicas)

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        now: datetime,
        *arguments: Word,
        attempt: str = "",
        confirm: bool = False,
    ) -> Any:
        """Run the script, once in effect, and return its reply.

        `attempt` is its name, made up unless given. With `confirm` the write is awaited on one
        replica too; that it did not get there in time is recorded, and is no failure.

        Raises:
            StoreUnavailable: it is not known to have run.
        """
        name = attempt or secrets.token_urlsafe(12)
        send = self._send_confirmed if confirm else self._send

        async def run_it(*, again: bool) -> Any:
            words = (len(keys), *keys, name, int(again), epoch(now), *arguments)
            try:
                return await send("EVALSHA", script.digest, *words)
            except exceptions.NoScriptError:  # it has been restarted; EVAL teaches it the script
                return await send("EVAL", script.text, *words)

        return await self._bounded(run_it)

    async def do(self, *command: Word) -> Any:
        """Do one plain command, one that is as good done twice.

        Raises:
            StoreUnavailable: it is not known to have been done.
        """
        return await self._bounded(lambda **_: self._send(*command))

    async def describe(self) -> Sequence[Mapping[str, Any]]:
        """What each master tells of itself.

        Raises:
            StoreUnavailable: they cannot be asked.
        """

        async def ask(**_: bool) -> Sequence[Mapping[str, Any]]:
            if isinstance(self._client, RedisCluster):
                told = await self._client.info(target_nodes=RedisCluster.PRIMARIES)
            else:
                told = {_THE_ONLY: await self._client.info()}
            for name, info in told.items():
                self._replicas[name].learn(info)
            return list(told.values())

        return await self._bounded(ask)

    async def _bounded(self, attempt: Callable[..., Awaitable[T]]) -> T:
        async with self._slots:
            begun = time.monotonic()
            if begun < self._silent_until:
                raise StoreUnavailable
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await self._run_twice_if_lost(attempt)
            except _FAILURES as error:
                if time.monotonic() - max(begun, self._answered_at) >= _NOBODY_SECONDS:
                    self._silent_until = time.monotonic() + _SILENCE_SECONDS
                # The kind is for the operator. The text may quote what was sent.
                self._record("store_failed", kind=type(error).__name__)
                raise StoreUnavailable from error
            self._answered_at = time.monotonic()
            return answer

    async def _run_twice_if_lost(self, attempt: Callable[..., Awaitable[T]]) -> T:
        try:
            return await attempt(again=False)
        except (exceptions.RedisError, RuntimeError) as error:
            if not _may_be_elsewhere(error):
                raise
            await self._forget_connections()
            return await attempt(again=True)

    async def _forget_connections(self) -> None:
        """Find the master anew: the one we know is gone, or is none any more."""
        if isinstance(self._client, RedisCluster):
            nodes = self._client.get_nodes()
            await asyncio.gather(*(node.disconnect_free_connections() for node in nodes))
            await self._client.nodes_manager.initialize()
        else:
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _send(self, *command: Word) -> Any:
        return await self._client.execute_command(*command)

    async def _send_confirmed(self, *command: Word) -> Any:
        node = await self._master_of(str(command[3]))
        replicas = self._replicas[node.name if node else _THE_ONLY]
        target = {"target_nodes": node} if node else {}  # for a cluster's pipeline
        questions = replicas.questions()
        pipeline = self._client.pipeline(transaction=False)
        for words in (command, *questions):
            pipeline.execute_command(*words, **target)
        answer, *replies = await pipeline.execute(raise_on_error=False)
        if isinstance(answer, Exception):
            raise answer
        if not replicas.confirmed(dict(zip(questions, replies, strict=True))):
            self._record("write_unconfirmed")
        return answer

    async def _master_of(self, key: str) -> ClusterNode | None:
        """The node of a cluster that has the key; None if there is one server anyway."""
        if not isinstance(self._client, RedisCluster):
            return None
        await self._client.initialize()
        return self._client.get_node_from_key(key)


def _may_be_elsewhere(error: Exception) -> bool:
    # A script on a master that has become a replica fails with READONLY somewhere in its text.
    gone = (exceptions.ConnectionError, RuntimeError)
    return isinstance(error, gone) or "READONLY" in str(error)
