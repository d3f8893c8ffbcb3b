"""How Redis stores sessions, tickets and bans: the names of keys, and hashes of short texts.

All keys carry one hash tag, `{tg}`, so that a script may use any of them together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias

from app.sessions.models import Ban, Session, epoch, instant

Argument: TypeAlias = str | bytes | int
_READERS: Mapping[object, Callable[[bytes], Any]] = {  # by the type of a field
    str: bytes.decode,
    str | None: bytes.decode,
    int: int,
    bytes: bytes,
    datetime: instant,
}

# --- names of keys: the whole name, or what comes before an id or a subject ---

_PREFIX = "{tg}:"
# Sessions. A tombstone is an ended session.
SESSION_PREFIX = _PREFIX + "session:"  # id; one session, active or its tombstone: a hash
INDEX_PREFIX = _PREFIX + "sessions-of:"  # subject; ids not ended, oldest first: a sorted set
TOMBSTONES_PREFIX = _PREFIX + "tombstones-of:"  # subject; ids of ended sessions: a list
SWEPT_PREFIX = _PREFIX + "swept:"  # subject; exists while none of the user's is due to expire
EVENTS = _PREFIX + "events"  # ids of sessions that ended, in the order of the commands: a stream
RECORD_PREFIX = _PREFIX + "record:"  # id; what the history tells of the session: a hash
RECORDS_PREFIX = _PREFIX + "records-of:"  # subject; ids with a record by creation: a sorted set
# Users, logins and rate limits.
LOOK_PREFIX = _PREFIX + "look:"  # subject; exists until Authing is to be asked again
BAN_PREFIX = _PREFIX + "ban:"  # subject; the ban: a hash
BAN_INDEX = _PREFIX + "bans"  # banned users by the end of the ban in epoch seconds: a sorted set
BAN_NOTES_PREFIX = _PREFIX + "ban-notes-of:"  # subject; the last bans and lifts, with times: a list
TICKET_PREFIX = _PREFIX + "ticket:"  # hash; leased, or has become a session: a hash
LIMIT_PREFIX = _PREFIX + "limit:"  # name and hash of its subject; counts of two windows: a string
# The store itself.
WRITABLE = _PREFIX + "writable"
REPLY_PREFIX = _PREFIX + "reply:"  # id of an erasure's command; its reply, for seconds: a list
ERASURE = _PREFIX + "erasure"  # id of an erasure's command, until the append-only file is rewritten


def ticket_keys(ticket_hash: bytes, key_hash: bytes | None) -> list[str]:
    """The ticket's key, and that of its idempotency key: a string, the hash of its ticket.

    Without an idempotency key, a name that is never written: scripts take a fixed number of keys.
    """
    own = f"{_PREFIX}idempotency-key:{key_hash.hex() if key_hash else 'none'}"
    return [TICKET_PREFIX + ticket_hash.hex(), own]


# --- values ---


def encode_session(session: Session) -> list[Argument]:
    """Fields and values in turn; a field that is None is left out."""
    flat: list[Argument] = []
    for field in fields(Session):
        value = getattr(session, field.name)
        if value is not None:
            flat += [field.name, epoch(value) if isinstance(value, datetime) else value]
    return flat


def decode_row(flat: Sequence[bytes]) -> Mapping[bytes, bytes]:
    """A hash, from fields and values in turn."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def decode_session(flat: Sequence[bytes]) -> Session:
    """An active session, from fields and values in turn."""
    return Session(**decode_fields(Session, decode_row(flat)))


def decode_fields(kind: type, row: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The fields of this dataclass that are there."""
    return {name: read(row[key]) for key, name, read in _readers(kind) if key in row}


@cache
def _readers(kind: type) -> Sequence[tuple[bytes, str, Callable[[bytes], Any]]]:
    # Each note has a field of its own in the hash, so `notes` is none.
    types = kind.__annotations__.items()
    return [(name.encode(), name, _READERS[each]) for name, each in types if name != "notes"]


def decode_ban(subject: str, flat: Sequence[bytes]) -> Ban:
    """A ban, in force or over."""
    row = decode_row(flat)
    until = instant(row[b"until"]) if row[b"until"] else None
    return Ban(subject, row[b"reason"].decode(), instant(row[b"created_at"]), until)


def decode_ids(reply: Sequence[bytes]) -> Sequence[str]:
    """A list of session ids."""
    return [session_id.decode() for session_id in reply]
