"""The names of keys. All carry one hash tag, so that a script may use any of them together."""

_PREFIX = "{tg}:"

WRITABLE = _PREFIX + "writable"
SESSION_PREFIX = _PREFIX + "session:"
TICKET_PREFIX = _PREFIX + "ticket:"
RATE_LIMIT_PREFIX = _PREFIX + "limit"


def session_key(session_id: str) -> str:
    """One session, active or its tombstone: a hash."""
    return SESSION_PREFIX + session_id


def index_key(subject: str) -> str:
    """The ids of the user's sessions, oldest first: a sorted set."""
    return f"{_PREFIX}sessions-of:{subject}"


def ban_key(subject: str) -> str:
    """The user's ban: a hash."""
    return f"{_PREFIX}ban:{subject}"


def ticket_key(ticket_hash: bytes) -> str:
    """A ticket that is leased or has become a session: a hash."""
    return TICKET_PREFIX + ticket_hash.hex()


def idempotency_key(key_hash: bytes | None) -> str:
    """The hash of the ticket that an idempotency key belongs to: a string.

    Without a key, a name that is never written: scripts take a fixed number of keys.
    """
    return f"{_PREFIX}idempotency-key:{key_hash.hex() if key_hash else 'none'}"


def reply_key(command_id: str) -> str:
    """What a command has replied, for a few seconds: a list. The name does not tell the user."""
    return f"{_PREFIX}reply:{command_id}"
