"""What has happened to sessions: records that the other commands write."""

from typing_extensions import override

from app.sessions.models import Records, instant
from app.sessions.ports import HistoryStore
from app.stores.redis import scripts
from app.stores.redis.codec import decode_ban_note, decode_record
from app.stores.redis.engine import RedisPort

_NO_TIME = instant(0)
"""The script does not read the time of the command."""


class RedisHistory(RedisPort, HistoryStore):
    """`HistoryStore` over one Redis or Valkey."""

    @override
    async def of_user(self, subject: str) -> Records:
        return await self._records(subject, "")

    @override
    async def of_session(self, session_id: str) -> Records:
        return await self._records("", session_id)

    async def _records(self, subject: str, session_id: str) -> Records:
        args = subject, session_id
        records, bans = await self._engine.eval_script(scripts.HISTORY, [], _NO_TIME, *args)
        return Records([decode_record(*each) for each in records], [*map(decode_ban_note, bans)])
