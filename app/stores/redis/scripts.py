"""The Lua scripts, one a command of the store. They stand in `lua/`, each behind the prelude."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).with_name("lua")


@dataclass(frozen=True, slots=True)
class Script:
    """One script; the server knows it by the digest once it has seen it."""

    name: str
    text: str
    digest: str


def _load(name: str) -> Script:
    text = "\n".join((_FOLDER / f"{part}.lua").read_text("utf-8") for part in ("prelude", name))
    # SHA-1 is how EVALSHA names scripts; nothing is secured by it.
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


BAN = _load("ban")
END = _load("end")
END_ALL = _load("end_all")
ERASE = _load("erase")
LIST = _load("list")
OPEN = _load("open")
REDEEM = _load("redeem")
RELEASE = _load("release")
RESERVE = _load("reserve")
ROTATE = _load("rotate")
SEE = _load("see")
TAKE = _load("take")
UNREDEEM = _load("unredeem")
