"""`keys`: makes the key file, rolls its keys over, and prints new service keys.

The service follows the file: each step takes effect within 30 s, without a restart. This order ends
no session: `add`; wait six minutes, until every instance and verifier knows the key; `promote`;
wait until all tokens of the old key have expired; `retire`, which says until when to wait.
"""

import secrets
from pathlib import Path

from app import keyfile
from app.config import ENV_FILE, SECRETS_DIR, KeySettings, load_settings
from app.errors import StartupError
from app.jose.jwk import InvalidKey
from app.keyfile import KeyKind, TokenLives


def run(action: str, file: Path | None, alg: KeyKind, *, force: bool, kid: str = "") -> int:
    """Do one step, then list the keys as they are now; raise StartupError if it cannot be done."""
    if action == "service":
        print(secrets.token_hex(32))
        return 0
    found = settings(file)
    path = found.session_keys_file
    with keyfile.refusals(path):
        match action:
            case "new":
                if alg == "oct":
                    raise InvalidKey("new makes a signing key; oct is for add")
                keyfile.create(path, alg)
            case "add":
                keyfile.add(path, alg)
            case "promote":
                keyfile.promote(path, kid)
            case "retire":
                lives = TokenLives(found.session_access_ttl, found.session_absolute_ttl)
                keyfile.retire(path, kid, None if force else lives)
        print("\n".join(keyfile.describe(path)))
    return 0


def settings(file: Path | None, *, secrets_dir: Path = SECRETS_DIR) -> KeySettings:
    """Read the settings like `serve`. `file` replaces SESSION_KEYS_FILE."""
    given = {} if file is None else {"session_keys_file": file}
    try:
        return load_settings(KeySettings, env_file=ENV_FILE, secrets_dir=secrets_dir, **given)
    except StartupError as error:
        advice = " (or give --file)" if str(error) == "SESSION_KEYS_FILE: is required" else ""
        raise StartupError(f"{error}{advice}") from error
