"""Bans of users."""

from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from app.sessions.models import Ban, epoch
from app.sessions.ports import MAX_LISTED_BANS, BanStore
from app.stores.redis import scripts
from app.stores.redis.codec import BAN_INDEX, BAN_PREFIX, ban_key, decode_ban, decode_row
from app.stores.redis.engine import RedisPort
from app.stores.redis.sessions import in_chunks


class RedisBans(RedisPort, BanStore):
    """`BanStore` over one Redis or Valkey."""

    @override
    async def put(self, ban: Ban) -> Sequence[str]:
        keys = [ban_key(ban.subject), BAN_INDEX]
        args = (ban.subject, ban.reason, epoch(ban.until) if ban.until else "")
        return await in_chunks(
            lambda: self._engine.eval_script(scripts.BAN, keys, ban.created_at, *args, confirm=True)
        )

    @override
    async def lift(self, subject: str, now: datetime) -> None:
        keys = [ban_key(subject), BAN_INDEX]
        await self._engine.eval_script(scripts.LIFT, keys, now, subject)

    @override
    async def find(self, subject: str, now: datetime) -> Ban | None:
        row = await self._engine.execute("HGETALL", ban_key(subject))
        if not row:
            return None
        ban = decode_ban(subject, decode_row(row))
        return ban if ban.until is None or ban.until > now else None

    @override
    async def list_bans(self, now: datetime) -> Sequence[Ban]:
        reply = await self._engine.eval_script(
            scripts.LIST_BANS, [BAN_INDEX], now, BAN_PREFIX, MAX_LISTED_BANS
        )
        return [decode_ban(subject.decode(), decode_row(flat)) for subject, flat in reply]
