"""`keys`: makes the key file and rolls its keys over (contract section 6).

The service follows the file, so each step takes effect within 30 s without a restart. The order
that logs nobody out: `add`, wait until every instance and verifier has seen the key (five minutes,
the JWKS's cache life), `promote`, wait until what the old key signed or bound is over, `retire`.
"""

import os
from pathlib import Path
from typing import Literal, TypeAlias

from app import keyfile
from app.errors import StartupError
from app.keyfile import KeyKind

Action: TypeAlias = Literal["new", "add", "promote", "retire", "list"]


def run(action: Action, file: Path | None, *, kind: KeyKind, kid: str) -> int:
    """Do one step, then list the keys as they are now.

    Raises:
        StartupError: one line that says why it cannot be done.
    """
    path = file or Path(os.environ.get("SESSION_KEYS_FILE", ""))
    if path == Path():
        raise StartupError("SESSION_KEYS_FILE: is required (or give --file)")
    with keyfile.refusals(path):
        _do(action, path, kind, kid)
        print("\n".join(keyfile.describe(path)))  # noqa: T201  # a command's answer
    return 0


def _do(action: Action, path: Path, kind: KeyKind, kid: str) -> None:
    match action:
        case "new" if kind != "oct":
            keyfile.create(path, kind)
        case "add":
            keyfile.add(path, kind)
        case "promote":
            keyfile.promote(path, kid)
        case "retire":
            keyfile.retire(path, kid)
        case _:
            pass  # list
