"""Sessions and bans as Redis has them: hashes of short texts. Instants are epoch seconds."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime

from app.sessions.models import Ban, Session
from app.sessions.ports import SessionLimits


def epoch(instant: datetime) -> int:
    """Seconds since 1970."""
    return int(instant.timestamp())


def instant(seconds: bytes | int) -> datetime:
    """The aware instant."""
    return datetime.fromtimestamp(int(seconds), UTC)


def flat_of(session: Session) -> list[str | bytes | int]:
    """Fields and values in turn; what is None is left out."""
    flat: list[str | bytes | int] = []
    for field in fields(Session):
        value = getattr(session, field.name)
        if value is not None:
            flat += [field.name, epoch(value) if isinstance(value, datetime) else value]
    return flat


def row_of(flat: Sequence[bytes]) -> dict[str, bytes]:
    """A hash as the server tells it, fields and values in turn."""
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def session_of(row: Mapping[str, bytes]) -> Session:
    """A living session."""
    return Session(
        id=row["id"].decode(),
        subject=row["subject"].decode(),
        device_type=row["device_type"].decode() if "device_type" in row else None,
        generation=int(row["generation"]),
        binding_kid=row["binding_kid"].decode(),
        sealed_profile=row["sealed_profile"],
        authenticated_at=instant(row["authenticated_at"]),
        created_at=instant(row["created_at"]),
        last_used_at=instant(row["last_used_at"]),
        expires_at=instant(row["expires_at"]),
        absolute_expires_at=instant(row["absolute_expires_at"]),
    )


def ban_of(subject: str, row: Mapping[str, bytes]) -> Ban:
    """A ban, in force or over."""
    until = instant(row["until"]) if row["until"] else None
    return Ban(subject, row["reason"].decode(), instant(row["created_at"]), until)


def pack(session: Session, limits: SessionLimits) -> str:
    """All that is needed to open the session, as a text."""
    flat = flat_of(session)
    sealed = flat.index("sealed_profile") + 1
    flat[sealed] = base64.b64encode(session.sealed_profile).decode()
    return json.dumps([flat, limits.max_per_user, limits.one_per_device_type])


def unpack(text: bytes) -> tuple[Session, SessionLimits]:
    """What was packed."""
    flat, max_per_user, one_per_device_type = json.loads(text)
    row = {name: str(value).encode() for name, value in zip(flat[::2], flat[1::2], strict=True)}
    row["sealed_profile"] = base64.b64decode(row["sealed_profile"])
    return session_of(row), SessionLimits(max_per_user, one_per_device_type)
