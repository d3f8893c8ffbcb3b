"""Sessions, their tombstones and their history: each command is one script."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from typing_extensions import override

from app.errors import StoreUnavailable
from app.sessions import outcomes
from app.sessions.models import (
    End,
    EndReason,
    Found,
    Note,
    Proof,
    Revocation,
    RevocationPage,
    Session,
    SessionRecord,
    revocation,
)
from app.sessions.ports import HistoryStore, Rotation, SessionStore
from app.stores.redis import codec
from app.stores.redis.engine import NO_TIME, RedisPort

_EVENT_ID = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")
_ACTIVE = dict.fromkeys(("app_version", "end_reason", "end_cause", "replaced_by"))
"""What the record of an active session may lack."""


class RedisSessions(RedisPort, SessionStore):
    """`SessionStore` over one Redis or Valkey."""

    @override
    async def touch(self, session_id: str, generation: int, now: datetime) -> outcomes.Lookup:
        keys = [codec.SESSION_PREFIX + session_id]
        reply = await self._engine.eval_script("touch", keys, now, generation)
        if reply[0] == b"active":
            return outcomes.Active(codec.decode_session(reply[1]))
        return _decode_inactive(reply)

    @override
    async def rotate(self, rotation: Rotation) -> outcomes.Refresh:
        proof = rotation.proof
        reply = await self._engine.eval_script(
            "rotate",
            [codec.SESSION_PREFIX + rotation.session_id],
            rotation.now,
            rotation.presented,
            rotation.secret_kid,
            int(rotation.idle_ttl.total_seconds()),
            int(rotation.recovery_window.total_seconds()),
            rotation.key_hash.hex() if rotation.key_hash is not None else "",
            int(rotation.dry_run),
            *((proof.thumbprint, proof.id) if isinstance(proof, Proof) else ("", proof)),
            confirm=True,
        )
        match reply:
            case [b"rotated", flat]:
                return outcomes.Rotated(codec.decode_session(flat))
            case [b"rolled_forward", flat]:
                return outcomes.Rotated(codec.decode_session(flat), rolled_forward=True)
            case [b"replayed", flat]:
                row = codec.decode_row(flat)
                counts = int(row[b"replays"]), int(row[b"replayed_generations"])
                return outcomes.Replayed(codec.decode_session(flat), *counts)
            case [b"reused", kind]:
                return outcomes.Reused(kind.decode())
            case [b"proof", kind]:
                return outcomes.ProofRefused(kind.decode())
            case [b"unsure"]:
                raise StoreUnavailable
            case _:
                return _decode_inactive(reply)

    @override
    async def active_sessions(self, subject: str, now: datetime) -> Sequence[Session]:
        newest_first = await self._engine.eval_script("list", [], now, subject)
        found = [codec.decode_session(flat) for flat in reversed(newest_first)]
        return [session for session in found if session.expires_at > now]

    @override
    async def end(
        self, session_id: str, subject: str | None, end: End
    ) -> outcomes.Ended | outcomes.Unknown:
        keys, args = [codec.SESSION_PREFIX + session_id], (subject or "", end.reason, end.cause)
        reply = await self._engine.eval_script("end", keys, end.now, *args, confirm=True)
        if reply[0] == b"changed":
            return outcomes.Ended(end.reason, changed=True)
        return _decode_inactive(reply)

    @override
    async def end_all(self, subject: str, end: End, *, keep: str | None = None) -> Sequence[str]:
        args = (subject, end.reason, keep or "", end.cause)
        return await self._end_in_chunks("end_all", [], end.now, *args)

    @override
    async def schedule_look(
        self, subject: str, now: datetime, pause: timedelta, *, force: bool = False
    ) -> bool:
        expiry = ("EX", int(pause.total_seconds()))
        when = expiry if force else ("NX", *expiry)
        return await self._engine.execute("SET", codec.LOOK_PREFIX + subject, "", *when) is not None

    @override
    async def erase(self, subject: str, now: datetime) -> Sequence[str]:
        return await self._end_in_chunks("erase", [codec.BAN_PREFIX + subject], now, subject)

    @override
    async def revocations(self, after: str, now: datetime, access_ttl: timedelta) -> RevocationPage:
        event, _, session_id = after.partition(".")
        if not _EVENT_ID.fullmatch(event):  # no cursor of this store
            event = "0-0"
        args = event, session_id, int(access_ttl.total_seconds())
        reply = await self._engine.eval_script("revocations", [], now, *args)
        more, last, found = reply
        return RevocationPage(
            [_decode_revocation(row) for row in found], _event_cursor(*last), more=bool(more)
        )


class RedisHistory(RedisPort, HistoryStore):
    """`HistoryStore` over one Redis or Valkey."""

    @override
    async def find(self, *, subject: str = "", session_id: str = "") -> Found:
        args = subject, session_id
        records, bans = await self._engine.eval_script("history", [], NO_TIME, *args)
        notes = [_decode_note(*entry.split(b" ", 1)) for entry in bans]
        return [_decode_record(*each) for each in records], notes


def _decode_inactive(reply: Sequence[Any]) -> outcomes.Ended | outcomes.Unknown:
    """The reply of the prelude's `inactive`."""
    if reply[0] == b"unknown":
        return outcomes.Unknown()
    _, reason, replaced_by = reply
    return outcomes.Ended(EndReason(reason.decode()), replaced_by.decode() or None)


def _decode_revocation(reply: Sequence[Any]) -> tuple[str, Revocation]:
    """One row of the reply to `revocations`: the cursor behind it, and the revocation."""
    event, session_id, subject, reason, *times = reply
    told = revocation(session_id.decode(), subject.decode(), reason.decode(), *times)
    return _event_cursor(event, session_id), told


def _decode_record(session_id: bytes, flat: Sequence[bytes]) -> SessionRecord:
    """The record of a session. Its notes have a colon in their names, before their kind."""
    row = codec.decode_row(flat)
    notes = [_decode_note(name, text) for name, text in row.items() if b":" in name]
    values = {**_ACTIVE, **codec.decode_fields(SessionRecord, row)}
    return SessionRecord(id=session_id.decode(), notes=notes, **values)


def _decode_note(name: bytes, text: bytes) -> Note:
    """A note: its event and kind, then how often, and when first and last."""
    event, _, kind = name.decode().partition(":")
    count, first_at, last_at = map(int, text.split())
    return Note(event, kind, count, first_at, last_at)


def _event_cursor(event: bytes, session_id: bytes) -> str:
    """An event by its id and its session: another server may give the same id."""
    return f"{event.decode()}.{session_id.decode()}"
