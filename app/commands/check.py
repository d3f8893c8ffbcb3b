"""`check`: will this configuration work? One line a check, with what to do; never a secret."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from app.authing.transport import build_client
from app.commands.serve import ENV_FILE, SECRETS_DIR
from app.config import Settings, load_settings
from app.errors import AuthingError, AuthingUntrusted, StartupError
from app.keyfile import KeyFile
from app.main import authing_client, authing_transport, system_clock
from app.stores.sqlite import SqliteStore

_TOLERATED_SKEW = timedelta(seconds=20)
"""Authing's tokens have 30 s of leeway, and clocks drift on."""


def run() -> int:
    """Print one line a check; 0 only if all are good."""
    try:
        settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    except StartupError as error:
        return _report({"settings": str(error)})
    findings = {"settings": ""}
    findings["keys"] = _refusal(lambda: KeyFile(settings.session_keys_file, print))
    findings["store"] = _refusal(lambda: SqliteStore(settings.store_path).close())
    findings |= asyncio.run(_ask_authing(settings))
    return _report(findings)


async def _ask_authing(settings: Settings) -> dict[str, str]:
    """Reach Authing over verified TLS and compare clocks. Sends no secret."""
    try:
        async with build_client(authing_transport(settings)) as http:
            theirs = await authing_client(settings, http, system_clock).probe()
    except StartupError as error:
        return {"authing": str(error)}
    except AuthingUntrusted:
        advice = "its certificate does not verify; a private deployment needs AUTHING_CA_FILE"
        return {"authing": f"AUTHING_BASE_URL: {advice}"}
    except AuthingError as error:
        return {"authing": f"AUTHING_BASE_URL: cannot be reached ({error.code}, {error.outcome})"}
    if theirs is None:
        return {"authing": "", "clock": "Authing's answer has no Date to compare with"}
    skew = abs(system_clock() - theirs)
    late = f"differs from Authing's by {skew.total_seconds():.0f} s; synchronise it (NTP)"
    return {"authing": "", "clock": late if skew > _TOLERATED_SKEW else ""}


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except StartupError as error:
        return str(error)
    return ""


def _report(findings: dict[str, str]) -> int:
    for name, trouble in findings.items():
        print(f"{name:10} {'FAIL  ' + trouble if trouble else 'ok'}")  # noqa: T201  # its answer
    return 1 if any(findings.values()) else 0
