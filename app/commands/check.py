"""`check`: will this configuration work? Prints one line a check, with advice and no secrets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin

from typing_extensions import override

from app import errors
from app.adapters import authing_client, authing_transport, management_client
from app.authing.jwks import RemoteJwks
from app.authing.response import deadline
from app.authing.transport import Transport
from app.authing.verifier import HEADER_MEMBERS
from app.commands.serve import ADVICE, unknown_names, unsafe_settings
from app.config import ENV_FILE, SECRETS_DIR, Settings, load_settings
from app.config.secret_files import SecretFiles
from app.events import EventName, Events
from app.jose.jws import InvalidJws, read
from app.keyfile.followed import KeyFile
from app.main import system_clock
from app.stores import open_store

_TOLERATED_SKEW = timedelta(seconds=20)  # less than the leeway for tokens: clocks drift
_DOUBTS = {
    "store_not_checked": "the server does not say all that is checked ({})",
    "store_not_durable": "no append-only file: a crash of the server ends all sessions",
    "store_created": "the file did not exist, and is created now",
}
_TLS_ADVICE = {
    "SSLCertVerificationError": (
        "its certificate does not verify; a private authority needs STORE_CA_FILE"
    ),
    "SSLError": "TLS fails; a server without TLS is redis:// instead of rediss://",
}
_ONLY_A_LOGIN = "?     only a login shows whether "
_JWKS_PATH = ".well-known/jwks.json"


def run(token_file: Path | None = None) -> int:
    """Print one line a check; return 0 only if all are good. `token_file` holds Authing's token."""
    try:
        settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
        findings = asyncio.run(_findings(settings, token_file))
    except errors.StartupError as error:
        findings = {"settings": f"FAIL  {error}"}
    for name, finding in findings.items():
        print(f"{name:10} {finding}".rstrip())
    return 1 if any(finding.startswith("FAIL") for finding in findings.values()) else 0


async def _findings(settings: Settings, token_file: Path | None) -> dict[str, str]:
    """Return the finding of each check: its verdict and a text."""
    secrets = SecretFiles(settings, _LastEvents(), SECRETS_DIR)
    mode = settings.authing_token_mode
    findings = {
        "settings": f"ok    {_warnings(settings)}",
        "keys": await _finding(_read_keys(settings)),
        "store": await _finding(_try_store(settings)),
        **await _ask_authing(settings, secrets),
    }
    if mode == "jwks":
        findings["jwks"] = await _finding(_find_jwks(settings))
    findings["secret"] = _ONLY_A_LOGIN + "Authing accepts AUTHING_USER_POOL_SECRET"
    if settings.authing_management_url is not None:
        findings["secret"] = await _finding(_prove_secret(settings, secrets))
    findings["signature"] = _ONLY_A_LOGIN + f"Authing's tokens verify ({mode})"
    if token_file is not None:
        findings["signature"] = await _finding(_verify_token(settings, secrets, token_file))
    return findings


async def _finding(check: Awaitable[str]) -> str:
    """Run a check, which returns a remark or raises StartupError."""
    try:
        return f"ok    {await check}"
    except errors.StartupError as error:
        return f"FAIL  {error}"


class _LastEvents(Events):
    """Remembers the last event of each name, with its fields."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self.seen[event] = " ".join(str(value) for value in fields.values())


def _warnings(settings: Settings) -> str:
    found = [
        f"{name} is not a setting" + (f" ({nearest}?)" if nearest else "")
        for name, nearest in unknown_names()
    ]
    found += [f"{name}: {ADVICE[reason]}" for name, reason in unsafe_settings(settings).items()]
    return "warning: " + "; ".join(found) if found else ""


async def _read_keys(settings: Settings) -> str:
    KeyFile(settings.session_keys_file, _LastEvents())
    return ""


async def _try_store(settings: Settings) -> str:
    """Open the store and write. Warn about a store that loses its data in a crash."""
    events = _LastEvents()
    try:
        async with open_store(settings.store_address, events) as stores:
            await stores.maintenance.check_writable()
    except errors.StoreInUse:
        return "in use by a running service; ask its /readyz"
    except errors.StoreUnavailable as error:
        reason = events.seen.get("store_failed", "no answer")
        advice = _TLS_ADVICE.get(reason, f"cannot be used now ({reason})")
        raise errors.StartupError(f"STORE_URL: {advice}") from error
    found = next((name for name in _DOUBTS if name in events.seen), None)
    return f"warning: {_DOUBTS[found].format(events.seen[found])}" if found else ""


@asynccontextmanager
async def _authing(settings: Settings, setting: str) -> AsyncIterator[Transport]:
    """Open the transport to Authing. A failure of Authing is a StartupError about this setting."""
    seconds = settings.authing_timeout.total_seconds()
    try:
        async with authing_transport(settings) as transport, deadline(seconds):
            yield transport
    except errors.AuthingUntrusted as error:
        advice = "its certificate does not verify; a private deployment needs AUTHING_CA_FILE"
        raise errors.StartupError(f"{setting}: {advice}") from error
    except errors.AuthingMisconfigured as error:
        refused = "Authing refuses it for this AUTHING_USER_POOL_ID"
        raise errors.StartupError(f"AUTHING_USER_POOL_SECRET: {refused}") from error
    except errors.AuthingError as error:
        reason = f"{error.code}, {error.outcome}"
        raise errors.StartupError(f"{setting}: cannot be used ({reason})") from error


async def _ask_authing(settings: Settings, secrets: SecretFiles) -> dict[str, str]:
    """Connect to Authing over verified TLS and compare clocks. Sends no secret."""
    try:
        async with _authing(settings, "AUTHING_BASE_URL") as transport:
            client = authing_client(settings, secrets, transport, system_clock, _LastEvents())
            date = await client.probe()
    except errors.StartupError as error:
        return {"authing": f"FAIL  {error}"}
    if date is None:
        return {"authing": "ok", "clock": "FAIL  Authing's response has no Date to compare with"}
    skew = abs(system_clock() - date)
    late = f"differs from Authing's by {skew.total_seconds():.0f} s; synchronise it (NTP)"
    return {"authing": "ok", "clock": f"FAIL  {late}" if skew > _TOLERATED_SKEW else "ok"}


async def _prove_secret(settings: Settings, secrets: SecretFiles) -> str:
    """Fetch a token of the management API, which needs pool id and secret, and no ticket."""
    async with _authing(settings, "AUTHING_MANAGEMENT_URL") as transport:
        await management_client(settings, secrets, transport).check_secret()
    return ""


async def _verify_token(settings: Settings, secrets: SecretFiles, file: Path) -> str:
    """Verify a token of any age as a login does, and name the secret that signs it."""
    settings = settings.model_copy(update={"authing_token_max_age": timedelta()})
    seconds, signer = settings.authing_timeout.total_seconds(), ""
    try:
        token = file.read_text("utf-8").strip()  # noqa: ASYNC240  # nothing else runs
        signer = f"; signing secret: {_signing_secret(token, secrets)}"
        async with authing_transport(settings) as transport, deadline(seconds):
            client = authing_client(settings, secrets, transport, system_clock, _LastEvents())
            await client.verifier.verify(token)
    except (OSError, ValueError, errors.StartupError) as error:
        raise errors.StartupError(f"--token-file: {error}") from error
    except errors.AuthingError as error:
        raise errors.StartupError(
            f"--token-file: {error.code} ({error.outcome}){signer}"
        ) from error
    return f"accepted{signer}"


def _signing_secret(token: str, secrets: SecretFiles) -> str:
    for name in ("authing_token_secrets", "authing_user_pool_secret"):
        for number, secret in enumerate(secrets.of(name)(), start=1):
            with suppress(InvalidJws):
                read(token, allowed=HEADER_MEMBERS).verified_payload(secret.encode(), "HS256")
                return f"value {number} of {name.upper()}"
    return "none"


async def _find_jwks(settings: Settings) -> str:
    """Fetch the key set, and look for it in both known places if it is not there."""
    url, app = settings.authing_jwks_url or "", settings.authing_audience
    host = urljoin(url, "/")
    places = [f"{host}oidc/{_JWKS_PATH}", f"{host}{app}/oidc/{_JWKS_PATH}"]
    async with authing_transport(settings) as transport:
        found = []
        for place in (url, *places):
            with suppress(errors.AuthingError):
                await RemoteJwks(transport, place, _LastEvents()).candidates("RS256", None)
                found.append(place)
    if not found:
        nowhere = f"no key set there, nor at {places[0]}, nor at {places[1]}"
        raise errors.StartupError(f"AUTHING_JWKS_URL: {nowhere}")
    if found[0] != url:
        raise errors.StartupError(f"AUTHING_JWKS_URL: no key set there; set {found[0]}")
    return ""
