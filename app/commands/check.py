"""`check`: will this configuration work? One line a check, with what to do; never a secret."""

import asyncio
from datetime import timedelta

from app.authing.client import AuthingClient
from app.commands.serve import ENV_FILE, SECRETS_DIR
from app.config import Settings, load_settings
from app.errors import AuthingError, AuthingUntrusted, StartupError
from app.keyfile import KeyFile
from app.main import authing_transport, build_authing_client, system_clock
from app.stores.sqlite import SqliteStore

_TOLERATED_SKEW = timedelta(seconds=20)
"""Authing's tokens have 30 s of leeway; closer than 20 s there is room for drift."""


def run() -> int:
    """Print the checks; 0 only if all are good."""
    try:
        settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    except StartupError as error:
        return _report({"settings": str(error)})
    findings: dict[str, str | None] = {"settings": None}
    findings["keys"] = _refusal(lambda: KeyFile(settings.session_keys_file, print))
    findings["store"] = _refusal(lambda: SqliteStore(settings.store_path).close())
    findings |= asyncio.run(_ask_authing(settings))
    return _report(findings)
