"""`sandbox`: the same server against the built-in fake Authing, ready to try.

Only the wire is replaced: the real client posts to a fake Authing in this process, and the real
verification checks its token. The sandbox reads no `.env` and no secret files, so it cannot use
production settings of the machine.
"""

import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Literal

import httpx

from app import keyfile
from app.commands.serve import run_with
from app.config import DurationOrZero, Settings, StoreUrl, WebAddress, load_settings
from app.errors import StartupError
from app.sandbox import SandboxOptions, create_sandbox
from app.server.draining import bind
from app.store_url import SqliteUrl

_POOL_ID = "5f0000000000000000000000"
_BANNER = """
Ticketgate sandbox on {address}

  In a browser:  {address}/sandbox   (get a ticket)   {address}/docs   (the API)
  In a shell:    see "Try it" in README.md

Ctrl-C stops it. Sessions stay in {store}.
"""


class SandboxSettings(Settings):
    """The settings, with defaults that need no other service."""

    session_issuer: WebAddress = "http://127.0.0.1:8000"
    session_keys_file: Path = Path("sandbox-data/keys.json")
    store_url: StoreUrl = SqliteUrl(Path("sandbox-data/sessions.db"))
    drain_delay: DurationOrZero = timedelta(0)
    log_format: Literal["json", "console"] = "console"
    api_docs: bool = True


def run() -> int:
    """Serve the sandbox until a signal stops it."""
    secret = secrets.token_hex(16)
    settings = load_settings(
        SandboxSettings,
        env_file=None,
        secrets_dir=None,
        # Every setting of the real Authing is replaced.
        authing_base_url="http://localhost",
        authing_user_pool_id=_POOL_ID,
        authing_user_pool_secret=secret,
        authing_token_mode="hs256",
        authing_token_secrets=(),
        authing_issuer=None,
        authing_audience=None,
    )
    if not _can_listen_on(settings.host):
        settings = settings.model_copy(update={"host": "127.0.0.1"})
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104  # compared
    host = f"[{host}]" if ":" in host else host
    address = f"http://{host}:{settings.port}"
    if "session_issuer" not in settings.model_fields_set:
        settings = settings.model_copy(update={"session_issuer": address})
    if not settings.session_keys_file.exists():
        with keyfile.refusals(settings.session_keys_file):
            keyfile.create(settings.session_keys_file, "ES256")
    options = SandboxOptions(
        user_pool_id=_POOL_ID, user_pool_secret=secret, login_url=f"{address}/v1/sessions"
    )
    fake = create_sandbox(options)

    def announce(port: int) -> None:
        banner = _BANNER.format(address=f"http://{host}:{port}", store=settings.store_url)
        print(banner, flush=True)  # noqa: T201  # the output of `make run`

    return run_with(
        settings,
        transport=httpx.ASGITransport(fake.authing),
        extra_routes=fake.pages.routes,
        on_start=announce,
    )


def _can_listen_on(host: str) -> bool:
    # Shells and conda export a HOST that is meant for other programs. It should not end a trial.
    try:
        bind(host, 0).close()
    except StartupError as error:
        print(f"ticketgate: {error}; the sandbox uses 127.0.0.1", file=sys.stderr)  # noqa: T201
        return False
    return True
