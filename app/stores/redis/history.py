"""What has happened to sessions: records that the other commands write."""

from typing_extensions import override

from app.sessions.models import Found, instant
from app.sessions.ports import HistoryStore
from app.stores.redis import scripts
from app.stores.redis.codec import decode_note, decode_record
from app.stores.redis.engine import RedisPort

_NO_TIME = instant(0)
"""The script does not read the time of the command."""


class RedisHistory(RedisPort, HistoryStore):
    """`HistoryStore` over one Redis or Valkey."""

    @override
    async def of_user(self, subject: str) -> Found:
        return await self._find(subject, "")

    @override
    async def of_session(self, session_id: str) -> Found:
        return await self._find("", session_id)

    async def _find(self, *names: str) -> Found:
        records, bans = await self._engine.eval_script(scripts.HISTORY, [], _NO_TIME, *names)
        notes = [decode_note(*entry.decode().split(" ", 1)) for entry in bans]
        return [decode_record(*each) for each in records], notes
