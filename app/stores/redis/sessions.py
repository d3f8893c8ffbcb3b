"""Sessions and their tombstones: each command is one script."""

import secrets
from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from app.errors import StoreUnavailable
from app.sessions.models import EndReason, Session
from app.sessions.outcomes import Active, Ended, Replayed, Reused, Rotated, Unknown
from app.sessions.ports import Rotation, SessionStore
from app.stores.redis import scripts
from app.stores.redis.codec import (
    BAN_INDEX,
    SESSION_PREFIX,
    ban_key,
    decode_ids,
    decode_inactive,
    decode_row,
    decode_session,
    index_key,
    reply_key,
    session_key,
)
from app.stores.redis.engine import RedisEngine


class RedisSessions(SessionStore):
    """`SessionStore` over one Redis or Valkey."""

    def __init__(self, engine: RedisEngine) -> None:
        self._engine = engine

    @override
    async def touch(
        self, session_id: str, generation: int, now: datetime
    ) -> Active | Ended | Unknown:
        keys = [session_key(session_id)]
        reply = await self._engine.eval_script(scripts.TOUCH, keys, now, generation)
        if reply[0] == b"active":
            return Active(decode_session(reply[1]))
        return decode_inactive(reply)

    @override
    async def rotate(self, rotation: Rotation) -> Rotated | Replayed | Reused | Ended | Unknown:
        reply = await self._engine.eval_script(
            scripts.ROTATE,
            [session_key(rotation.session_id)],
            rotation.now,
            rotation.presented,
            rotation.secret_kid,
            int(rotation.idle_ttl.total_seconds()),
            int(rotation.recovery_window.total_seconds()),
            rotation.key_hash.hex() if rotation.key_hash is not None else "",
            confirm=True,
        )
        match reply:
            case [b"rotated", flat]:
                return Rotated(decode_session(flat))
            case [b"rolled_forward", flat]:
                return Rotated(decode_session(flat), rolled_forward=True)
            case [b"replayed", flat]:
                row = decode_row(flat)
                counts = int(row["replays"]), int(row["replayed_generations"])
                return Replayed(decode_session(flat), *counts)
            case [b"reused", kind]:
                return Reused(kind.decode())
            case [b"unsure"]:
                raise StoreUnavailable
            case _:
                return decode_inactive(reply)

    @override
    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        keys = [index_key(subject)]
        reply = await self._engine.eval_script(scripts.LIST, keys, now, SESSION_PREFIX)
        return [decode_session(flat) for flat in reply]

    @override
    async def end(
        self, session_id: str, subject: str, reason: EndReason, now: datetime
    ) -> Ended | Unknown:
        keys = [session_key(session_id)]
        reply = await self._engine.eval_script(
            scripts.END, keys, now, subject, reason, confirm=True
        )
        if reply[0] == b"changed":
            return Ended(reason, changed=True)
        return decode_inactive(reply)

    @override
    async def end_all(
        self, subject: str, reason: EndReason, now: datetime, *, keep: str | None = None
    ) -> Sequence[str]:
        keys, args = [index_key(subject)], (SESSION_PREFIX, reason, keep or "")
        return decode_ids(
            await self._engine.eval_script(scripts.END_ALL, keys, now, *args, confirm=True)
        )

    @override
    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        command_id = secrets.token_urlsafe(12)
        reply = await self._engine.eval_script(
            scripts.ERASE,
            [index_key(subject), ban_key(subject), reply_key(command_id), BAN_INDEX],
            now,
            SESSION_PREFIX,
            command_id=command_id,
            confirm=True,
        )
        return decode_ids(reply)
