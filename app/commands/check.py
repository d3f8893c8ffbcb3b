"""`check`: will this configuration work? Prints one line a check, with advice and no secrets."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin

from typing_extensions import override

from app.authing.jwks import RemoteJwks
from app.authing.transport import Deadline, Transport
from app.authing.verifier import HEADER_MEMBERS
from app.commands.serve import ADVICE, names_given, unsafe_settings
from app.config import ENV_FILE, SECRETS_DIR, Settings, load_settings, unknown_names
from app.errors import (
    AuthingError,
    AuthingMisconfigured,
    AuthingUntrusted,
    StartupError,
    StoreInUse,
    StoreUnavailable,
)
from app.events import EventName, Events
from app.jose.jws import InvalidJws, read
from app.keyfile import KeyFile
from app.main import (
    authing_client,
    authing_transport,
    management_client,
    secret_files,
    store_address,
    system_clock,
)
from app.stores import open_store

_TOLERATED_SKEW = timedelta(seconds=20)
"""Less than the leeway of 30 s for Authing's tokens, because clocks drift."""
_IN_USE = "in use by a running service; ask its /readyz"
_WARNING = "warning: "
_TLS_ADVICE = {
    "SSLCertVerificationError": (
        "its certificate does not verify; a private authority needs STORE_CA_FILE"
    ),
    "SSLError": "TLS fails; a server without TLS is redis:// instead of rediss://",
}
_ONLY_A_LOGIN = "only a login shows whether "
_JWKS_PATH = ".well-known/jwks.json"
_ACCEPTED = "accepted"
_GOOD = (_IN_USE, _WARNING, _ACCEPTED)


def run(token_file: Path | None = None) -> int:
    """Print one line a check; return 0 only if all are good. `token_file` holds Authing's token."""
    try:
        settings = load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)
    except StartupError as error:
        return _print({"settings": str(error)})
    findings = {"settings": _warnings(settings)}
    findings["keys"] = _refusal(lambda: KeyFile(settings.session_keys_file, _LastEvents()))
    findings |= asyncio.run(_ask_store(settings)) | asyncio.run(_ask_authing(settings))
    if settings.authing_token_mode == "jwks":
        findings["jwks"] = asyncio.run(_find_jwks(settings))
    findings["secret"] = _ONLY_A_LOGIN + "Authing accepts AUTHING_USER_POOL_SECRET"
    if settings.authing_management_url is not None:
        findings["secret"] = asyncio.run(_prove_secret(settings))
    findings["signature"] = (
        _ONLY_A_LOGIN + f"Authing's tokens verify ({settings.authing_token_mode})"
    )
    if token_file is not None:
        findings["signature"] = asyncio.run(_verify_token(settings, token_file))
    return _print(findings)


def _warnings(settings: Settings) -> str:
    found = [
        f"{name} is not a setting" + (f" ({nearest}?)" if nearest else "")
        for name, nearest in unknown_names(names_given())
    ]
    found += [f"{name}: {ADVICE[reason]}" for name, reason in unsafe_settings(settings).items()]
    return _WARNING + "; ".join(found) if found else ""


class _LastEvents(Events):
    """Remembers the last event of each name, with its fields."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    @override
    def record(
        self, event: EventName, *, error: Exception | None = None, **fields: str | int
    ) -> None:
        self.seen[event] = " ".join(str(value) for value in fields.values())


async def _ask_store(settings: Settings) -> dict[str, str]:
    """Open the store and write. Warn about a store that loses its data in a crash."""
    events = _LastEvents()
    try:
        async with open_store(store_address(settings), events) as stores:
            await stores.maintenance.check_writable()
    except StoreInUse:
        return {"store": _IN_USE}
    except StartupError as error:
        return {"store": str(error)}
    except StoreUnavailable:
        reason = events.seen.get("store_failed", "no answer")
        return {"store": f"STORE_URL: {_TLS_ADVICE.get(reason, f'cannot be used now ({reason})')}"}
    return {"store": _doubt(events.seen)}


def _doubt(seen: Mapping[str, str]) -> str:
    if hidden := seen.get("store_not_checked"):
        return _WARNING + f"the server does not say all that is checked ({hidden})"
    if "store_not_durable" in seen:
        return _WARNING + "no append-only file: a crash of the server ends all sessions"
    if "store_created" in seen:
        return _WARNING + "the file did not exist, and is created now"
    return ""


async def _ask_authing(settings: Settings) -> dict[str, str]:
    """Connect to Authing over verified TLS and compare clocks. Sends no secret."""
    try:
        async with (
            authing_transport(settings) as transport,
            Deadline(settings.authing_timeout.total_seconds()),
        ):
            secrets = secret_files(settings, _LastEvents())
            client = authing_client(settings, secrets, transport, system_clock, _LastEvents())
            theirs = await client.probe()
    except StartupError as error:
        return {"authing": str(error)}
    except AuthingUntrusted:
        advice = "its certificate does not verify; a private deployment needs AUTHING_CA_FILE"
        return {"authing": f"AUTHING_BASE_URL: {advice}"}
    except AuthingError as error:
        return {"authing": f"AUTHING_BASE_URL: cannot be reached ({error.code}, {error.outcome})"}
    if theirs is None:
        return {"authing": "", "clock": "Authing's response has no Date to compare with"}
    skew = abs(system_clock() - theirs)
    late = f"differs from Authing's by {skew.total_seconds():.0f} s; synchronise it (NTP)"
    return {"authing": "", "clock": late if skew > _TOLERATED_SKEW else ""}


async def _prove_secret(settings: Settings) -> str:
    """Fetch a token of the management API, which needs pool id and secret, and no ticket."""
    secrets = secret_files(settings, _LastEvents())
    try:
        async with authing_transport(settings) as transport:
            await management_client(settings, secrets, transport, system_clock).check_secret()
    except StartupError as error:
        return str(error)
    except AuthingMisconfigured:
        return "AUTHING_USER_POOL_SECRET: Authing refuses it for this AUTHING_USER_POOL_ID"
    except AuthingError as error:
        return f"AUTHING_MANAGEMENT_URL: cannot be used ({error.code}, {error.outcome})"
    return ""


async def _verify_token(settings: Settings, file: Path) -> str:
    """Verify a token of any age as a login does, and name the secret that signs it."""
    settings = settings.model_copy(update={"authing_token_max_age": timedelta()})
    secrets, signer = secret_files(settings, _LastEvents()), ""
    try:
        token = file.read_text("utf-8").strip()  # noqa: ASYNC240  # nothing else runs
        signer = f"; signing secret: {_signing_secret(token, secrets.of)}"
        seconds = settings.authing_timeout.total_seconds()
        async with authing_transport(settings) as transport, Deadline(seconds):
            client = authing_client(settings, secrets, transport, system_clock, _LastEvents())
            await client.verifier.verify(token)
    except (OSError, ValueError, StartupError) as error:
        return f"--token-file: {error}"
    except AuthingError as error:
        return f"--token-file: {error.code} ({error.outcome}){signer}"
    return _ACCEPTED + signer


def _signing_secret(token: str, values: Callable[[str], Callable[[], Sequence[str]]]) -> str:
    for name in ("authing_token_secrets", "authing_user_pool_secret"):
        for number, secret in enumerate(values(name)(), start=1):
            with suppress(InvalidJws):
                read(token, allowed=HEADER_MEMBERS).verified_payload(secret.encode(), "HS256")
                return f"value {number} of {name.upper()}"
    return "none"


async def _find_jwks(settings: Settings) -> str:
    """Fetch the key set, and look for it in both known places if it is not there."""
    url, app = settings.authing_jwks_url or "", settings.authing_audience
    host = urljoin(url, "/")
    places = [f"{host}oidc/{_JWKS_PATH}", f"{host}{app}/oidc/{_JWKS_PATH}"]
    try:
        async with authing_transport(settings) as transport:
            found = [place for place in (url, *places) if await _has_keys(transport, place)]
    except StartupError as error:
        return str(error)
    if not found:
        return f"AUTHING_JWKS_URL: no key set there, nor at {places[0]}, nor at {places[1]}"
    return "" if found[0] == url else f"AUTHING_JWKS_URL: no key set there; set {found[0]}"


async def _has_keys(transport: Transport, url: str) -> bool:
    with suppress(AuthingError):
        await RemoteJwks(transport, url, _LastEvents()).candidates("RS256", None)
        return True
    return False


def _refusal(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except StartupError as error:
        return str(error)
    return ""


def _print(findings: dict[str, str]) -> int:
    verdicts = {name: _verdict(text) for name, text in findings.items()}
    for name, text in findings.items():
        print(f"{name:10} {verdicts[name]:5} {text}".rstrip())  # noqa: T201  # the output
    return 1 if "FAIL" in verdicts.values() else 0


def _verdict(text: str) -> str:
    if text.startswith(_ONLY_A_LOGIN):
        return "?"
    return "ok" if not text or text.startswith(_GOOD) else "FAIL"
