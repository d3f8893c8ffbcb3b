"""Sessions and bans as Redis stores them: hashes of short texts. Instants are epoch seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeAlias

from app.sessions.models import Ban, EndReason, Session
from app.sessions.outcomes import Ended, Unknown

RedisArg: TypeAlias = str | bytes | int


def epoch(instant: datetime) -> int:
    """Seconds since 1970."""
    return int(instant.timestamp())


def instant(seconds: bytes | int) -> datetime:
    """The aware instant."""
    return datetime.fromtimestamp(int(seconds), UTC)


def encode_session(session: Session) -> list[RedisArg]:
    """Fields and values in turn; a field that is None is left out."""
    flat: list[RedisArg] = []
    for field in fields(Session):
        value = getattr(session, field.name)
        if value is not None:
            flat += [field.name, epoch(value) if isinstance(value, datetime) else value]
    return flat


def decode_session(flat: Sequence[bytes]) -> Session:
    """An active session, from fields and values in turn."""
    row = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    return Session(
        id=row["id"].decode(),
        subject=row["subject"].decode(),
        device_type=row["device_type"].decode() if "device_type" in row else None,
        generation=int(row["generation"]),
        secret_kid=row["secret_kid"].decode(),
        encrypted_profile=row["encrypted_profile"],
        authenticated_at=instant(row["authenticated_at"]),
        created_at=instant(row["created_at"]),
        last_used_at=instant(row["last_used_at"]),
        expires_at=instant(row["expires_at"]),
        absolute_expires_at=instant(row["absolute_expires_at"]),
    )


def decode_ban(subject: str, row: Mapping[str, bytes]) -> Ban:
    """A ban, in force or over."""
    until = instant(row["until"]) if row["until"] else None
    return Ban(subject, row["reason"].decode(), instant(row["created_at"]), until)


def decode_inactive(reply: Sequence[Any]) -> Ended | Unknown:
    """The reply of the prelude's `inactive`."""
    if reply[0] == b"unknown":
        return Unknown()
    _, reason, replaced_by = reply
    return Ended(EndReason(reason.decode()), replaced_by.decode() or None)


def decode_ids(reply: Sequence[bytes]) -> Sequence[str]:
    """A list of session ids."""
    return [session_id.decode() for session_id in reply]
