"""What decides about a login: its ticket, and the ban of the user."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from app.sessions import outcomes
from app.sessions.models import Ban, Session, epoch, instant
from app.sessions.ports import TOMBSTONE_TTL, BanStore, SessionLimits, TicketLease, TicketStore
from app.stores.redis import codec
from app.stores.redis.engine import RedisPort


class RedisTickets(RedisPort, TicketStore):
    """`TicketStore` over one Redis or Valkey."""

    @override
    async def acquire(self, lease: TicketLease) -> outcomes.Acquisition:
        keys = codec.ticket_keys(lease.ticket_hash, lease.key_hash)
        reply = await self._engine.eval_script("acquire", keys, lease.now, *_args(lease))
        match reply:
            case [b"acquired"]:
                return outcomes.Acquired()
            case [b"held", lease_ends_at]:
                return outcomes.Held(instant(lease_ends_at))
            case [b"key_conflict"]:
                return outcomes.KeyConflict()
            case _:
                return _already_used(reply)

    @override
    async def release(self, lease: TicketLease) -> None:
        keys = [codec.TICKET_PREFIX + lease.ticket_hash.hex()]
        await self._engine.eval_script("release", keys, lease.now, lease.holder)

    @override
    async def create_session(
        self, lease: TicketLease, session: Session, limits: SessionLimits, app_version: str = ""
    ) -> outcomes.Creation:
        index_life = session.absolute_expires_at - session.created_at + TOMBSTONE_TTL
        reply = await self._engine.eval_script(
            "create_session",
            [
                *codec.ticket_keys(lease.ticket_hash, lease.key_hash),
                codec.SESSION_PREFIX + session.id,
                codec.BAN_PREFIX + session.subject,
            ],
            session.created_at,
            *_args(lease),
            limits.max_per_user,
            int(limits.one_per_device_type),
            int(index_life.total_seconds()),
            session.subject,
            app_version,
            *codec.encode_session(session),
            confirm=True,
        )
        match reply:
            case [b"opened", replaced]:
                return outcomes.Opened(codec.decode_ids(replaced))
            case [b"banned", until]:
                return outcomes.Banned(instant(until) if until else None)
            case _:
                return _already_used(reply)


class RedisBans(RedisPort, BanStore):
    """`BanStore` over one Redis or Valkey."""

    @override
    async def put(self, ban: Ban) -> Sequence[str]:
        args = (ban.subject, ban.reason, epoch(ban.until) if ban.until else "")
        return await self._end_in_chunks(
            "ban", [codec.BAN_PREFIX + ban.subject], ban.created_at, *args
        )

    @override
    async def lift(self, subject: str, now: datetime) -> None:
        await self._engine.eval_script("lift", [codec.BAN_PREFIX + subject], now, subject)

    @override
    async def find(self, subject: str, now: datetime) -> Ban | None:
        flat = await self._engine.execute("HGETALL", codec.BAN_PREFIX + subject)
        if not flat:
            return None
        ban = codec.decode_ban(subject, flat)
        return ban if ban.until is None or ban.until > now else None

    @override
    async def list_bans(self, now: datetime) -> Sequence[Ban]:
        reply = await self._engine.eval_script("list_bans", [], now)
        return [codec.decode_ban(subject.decode(), flat) for subject, flat in reply]


def _args(lease: TicketLease) -> tuple[codec.Argument, ...]:
    key_hash = lease.key_hash.hex() if lease.key_hash is not None else ""
    times = epoch(lease.lease_ends_at), epoch(lease.expires_at)
    return (lease.ticket_hash.hex(), key_hash, lease.holder, *times)


def _already_used(reply: Sequence[Any]) -> outcomes.AlreadyUsed:
    _, *sessions = reply
    return outcomes.AlreadyUsed(codec.decode_session(sessions[0]) if sessions else None)
