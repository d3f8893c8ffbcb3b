"""Loads the Lua scripts in `lua/`: one for each command, each with the prelude before it."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

from app.sessions.models import MAX_SEEN_PROOFS
from app.sessions.ports import MAX_LISTED_BANS, MAX_SESSIONS
from app.stores.redis import codec

_RETURN = "local reply = run()\nreturn {server_now, verdict, reply}"
_FOLDER = Path(__file__).with_name("lua")
_KEYS = {name: key for name, key in vars(codec).items() if name.isupper() and isinstance(key, str)}
_CONSTANTS = {
    **_KEYS,
    "CHUNK": MAX_SESSIONS,
    "MAX_LISTED_BANS": MAX_LISTED_BANS,
    "MAX_SEEN_PROOFS": MAX_SEEN_PROOFS,
}


@dataclass(frozen=True, slots=True)
class Script:
    """One script. A server that has run it once accepts the digest instead of the text.

    The reply is the server's time in epoch milliseconds, then `stale`, or `run` and the command's
    own reply if there is one. LIMIT only has the latter.
    """

    name: str
    text: str
    digest: str


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text("utf-8")


def _script(name: str, text: str) -> Script:
    # EVALSHA identifies scripts by SHA-1. Security does not depend on it.
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


def _load(name: str) -> Script:
    constants = "".join(f"local {name} = {value!r}\n" for name, value in _CONSTANTS.items())
    body = f"local function run()\n{_read(name)}\nend\n{_RETURN}"
    return _script(name, f"{constants}{_read('prelude')}\n{body}")


ACQUIRE = _load("acquire")
BAN = _load("ban")
CHECK_WRITABLE = _load("check_writable")
COUNT = _load("count")
CREATE_SESSION = _load("create_session")
END = _load("end")
END_ALL = _load("end_all")
ERASE = _load("erase")
HISTORY = _load("history")
LIFT = _load("lift")
LIMIT = _script("limit", _read("limit"))
LIST = _load("list")
LIST_BANS = _load("list_bans")
RELEASE = _load("release")
REVOCATIONS = _load("revocations")
REWRITTEN = _load("rewritten")
ROTATE = _load("rotate")
TOUCH = _load("touch")
