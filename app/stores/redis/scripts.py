"""The Lua scripts, one for each command of the store. They stand in `lua/`, behind the prelude."""

from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).with_name("lua")


@dataclass(frozen=True, slots=True)
class Script:
    """One script; the server knows it by the digest once it has run it."""

    name: str
    text: str
    digest: str


def _load(name: str) -> Script:
    text = "\n".join((_FOLDER / f"{part}.lua").read_text("utf-8") for part in ("prelude", name))
    # SHA-1 is how EVALSHA names scripts; nothing is secured by it.
    return Script(name, text, sha1(text.encode(), usedforsecurity=False).hexdigest())


ACQUIRE = _load("acquire")
BAN = _load("ban")
CREATE_SESSION = _load("create_session")
END = _load("end")
END_ALL = _load("end_all")
ERASE = _load("erase")
LIST = _load("list")
RELEASE = _load("release")
ROTATE = _load("rotate")
TOUCH = _load("touch")
