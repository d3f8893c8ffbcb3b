"""`keys`: makes the key file and rolls its keys over.

The service follows the file: each step takes effect within 30 s, without a restart. This order ends
no session: `add`; wait five minutes, until every instance and verifier knows the key; `promote`;
wait until all tokens of the old key have expired; `retire`.
"""

import os
from pathlib import Path
from typing import Literal, TypeAlias

from app import keyfile
from app.errors import StartupError
from app.keyfile import KeyKind

Action: TypeAlias = Literal["new", "add", "promote", "retire", "list"]


def run(action: Action, file: Path | None, *, kind: KeyKind, kid: str) -> int:
    """Do one step, then list the keys as they are now; raise StartupError if it cannot be done."""
    path = file or Path(os.environ.get("SESSION_KEYS_FILE", ""))
    if path == Path():
        raise StartupError("SESSION_KEYS_FILE: is required (or give --file)")
    with keyfile.refusals(path):
        _do(action, path, kind, kid)
        print("\n".join(keyfile.describe(path)))  # noqa: T201  # the output
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
