"""Where things are in Redis: the names of keys.

All that belongs to one user carries one tag, `{xy}`, and so lies in one slot of a cluster, where
one script reaches it in one step. A session's tag is the beginning of its id, because a refresh
token tells no more than the id (see `app.sessions.tokens.new_session_id`).
"""

from app.sessions.tokens import locator_of

WRITABLE = "tg:writable"
_LOCATOR_LENGTH = len(locator_of(""))


def session_key(session_id: str) -> str:
    """One session, living or its tombstone: a hash."""
    return session_prefix(session_id[:_LOCATOR_LENGTH]) + session_id


def session_prefix(locator: str) -> str:
    """What the keys of all sessions of the user with this locator begin with."""
    return f"tg:{{{locator}}}:session:"


def index_key(subject: str) -> str:
    """The ids of the user's sessions, in the order of their beginning: a sorted set."""
    return f"tg:{{{locator_of(subject)}}}:sessions-of:{subject}"


def ban_key(subject: str) -> str:
    """The user's ban: a hash."""
    return f"tg:{{{locator_of(subject)}}}:ban:{subject}"


def answer_key(subject: str, attempt: str) -> str:
    """What an attempt has answered, for a moment: a list. The name does not tell the user."""
    return f"tg:{{{locator_of(subject)}}}:answer:{attempt}"


def claim_key(ticket_hash: bytes) -> str:
    """A ticket in the hands of a login: a hash."""
    return f"tg:claim:{ticket_hash.hex()}"


def idempotency_key(key_hash: bytes) -> str:
    """Which ticket an idempotency key goes with, if the claim of that ticket says so too."""
    return f"tg:key:{key_hash.hex()}"
