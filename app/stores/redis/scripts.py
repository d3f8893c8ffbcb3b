"""Loads the Lua scripts in `lua/`: one for each command, each with the prelude before it."""

from hashlib import sha1
from pathlib import Path
from typing import NamedTuple

from app.sessions.models import MAX_SEEN_PROOFS
from app.sessions.ports import MAX_LISTED_BANS, MAX_SESSIONS
from app.stores.redis import codec

_FOLDER = Path(__file__).with_name("lua")
_RETURN = "local reply = run()\nreturn {server_now, verdict, reply}"
_KEYS = {name: key for name, key in vars(codec).items() if name.isupper() and isinstance(key, str)}
_CONSTANTS = {
    **_KEYS,
    "CHUNK": MAX_SESSIONS,
    "MAX_LISTED_BANS": MAX_LISTED_BANS,
    "MAX_SEEN_PROOFS": MAX_SEEN_PROOFS,
}
_PRELUDE = "".join(f"local {name} = {value!r}\n" for name, value in _CONSTANTS.items())
_PRELUDE += (_FOLDER / "prelude.lua").read_text("utf-8")


class Script(NamedTuple):
    """One script. A server that has run it once accepts the digest instead of the text.

    The reply is the server's time in epoch milliseconds, then `stale`, or `run` and the command's
    own reply if there is one. `limit` only has the latter.
    """

    text: str
    digest: str


def _load(path: Path) -> Script:
    text = path.read_text("utf-8")
    if path.stem != "limit":
        text = f"{_PRELUDE}\nlocal function run()\n{text}\nend\n{_RETURN}"
    # EVALSHA identifies scripts by SHA-1. Security does not depend on it.
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


SCRIPTS = {path.stem: _load(path) for path in _FOLDER.glob("*.lua") if path.stem != "prelude"}
