"""`sandbox`: the same server against the built-in fake Authing, ready to try.

Only the wire is replaced: the real client posts to a fake Authing in this process, and the real
verification checks its token. A token of the sandbox must not be good anywhere else, and anyone may
log in. So keys, issuer, store and address are its own, whatever the machine has for production.
"""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

import httpx
import uvloop
from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp
from typing_extensions import override

from app import errors, keyfile
from app.api.middleware import RequestContext
from app.authing.transport import Response, Transport
from app.commands.serve import serve
from app.config import Settings, load_settings
from app.config.field_types import DurationOrZero
from app.sandbox import Sandbox, SandboxOptions
from app.sandbox.grading import Grader
from app.server.draining import bind
from app.store_url import SqliteUrl
from app.telemetry.logs import LoggedEvents

_BANNER = """
Ticketgate sandbox on {address}

  In a browser:  {address}/sandbox   (the phone)   {address}/docs   (the API)
  In a shell:    see "Try it" in README.md

Ctrl-C stops it. Sessions stay in {store}.
"""
_GRADING = 'It grades an app: see "Grade an app" in docs/sandbox.md.\n'


class AsgiTransport(Transport):
    """Calls an application instead of Authing; an error of it is that of the connection."""

    def __init__(self, app: Any) -> None:
        self._transport = httpx.ASGITransport(app)

    @override
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        request = httpx.Request(method, url, headers=headers, content=body)
        response = await self._transport.handle_async_request(request)
        return Response(response.status_code, response.headers, await response.aread())

    @override
    async def __aexit__(self, *_error: object) -> None:
        """There is no connection."""


class SandboxSettings(Settings):
    """The settings, with defaults for trying out."""

    drain_delay: DurationOrZero = timedelta(0)
    log_format: Literal["json", "console"] = "console"
    api_docs: bool = True


def read_settings(host: str, folder: Path, options: SandboxOptions) -> SandboxSettings:
    """Read the environment, but for what belongs to production; no `.env` and no secret files."""
    data = folder / "sandbox-data"
    ignored = {
        name: setting.get_default(call_default_factory=True)
        for name, setting in SandboxSettings.model_fields.items()
        if name.startswith(("authing_", "store_", "session_audience"))
    }
    own = {
        "authing_base_url": "http://localhost",
        "authing_management_url": "http://localhost",
        "authing_user_pool_id": options.user_pool_id,
        "authing_user_pool_secret": options.user_pool_secret,
        "session_issuer": "http://localhost",
        "session_keys_file": data / "keys.json",
        "store_url": SqliteUrl(data / "sessions.db"),
        "host": host,
    }
    settings = load_settings(SandboxSettings, env_file=None, secrets_dir=None, **ignored | own)
    port = settings.port or _free_port(host)
    changes: dict[str, Any] = {
        "port": port,
        "session_issuer": _address(host, port),
        # The page shows this key, so it is none of those that the environment may have.
        "service_api_keys": (*settings.service_api_keys, SecretStr(options.service_key)),
    }
    if options.graded:
        changes |= {"session_max_per_user": 1, "rate_limit_login": None, "rate_limit_refresh": None}
    return settings.model_copy(update=changes)


def _free_port(host: str) -> int:
    """Return a free port, before the server listens on it: the issuer contains the port."""
    with bind(host, 0) as listener:
        port: int = listener.getsockname()[1]
        return port


def _address(host: str, port: int) -> str:
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  # compared
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(host: str, folder: Path, *, grade: bool = False) -> int:
    """Serve the sandbox at this address until a signal stops it; its files lie in the folder.

    With `grade` it grades an app, and the exit code is 1 unless its last grade was full.
    """
    options = SandboxOptions(
        user_pool_id="5f0000000000000000000000",
        user_pool_secret=secrets.token_hex(16),
        service_key=secrets.token_urlsafe(32),
        graded=grade,
    )
    settings = read_settings(host, folder, options)
    if not settings.session_keys_file.exists():
        with keyfile.refusals(settings.session_keys_file):
            keyfile.create(settings.session_keys_file, "ES256")
    show = partial(print, flush=True)
    banner = _BANNER.format(address=settings.session_issuer, store=settings.store_url)
    fake = Sandbox(options)
    grader = Grader(fake.state, show)

    def around(service: ASGIApp) -> ASGIApp:
        refuse = partial(refusals, settings)
        service = fake.around(service, refuse)
        return grader.around(service, refuse) if grade else service

    uvloop.run(
        serve(
            settings,
            transport=AsgiTransport(fake.app),
            extra_routes=[*fake.pages, *(grader.routes() if grade else ())],
            around=around,
            on_start=lambda _port: show(banner + _GRADING if grade else banner),
        )
    )
    return 0 if not grade or grader.is_full else 1


def refusals(settings: Settings, retry_after: int = 1, nonce: str = "") -> dict[str, ASGIApp]:
    """Return applications that refuse every request, as the service does, by error code."""
    store = errors.StoreUnavailable()
    store.retry_after = retry_after
    raised: tuple[errors.TicketgateError, ...] = (
        *(store, errors.RateLimited(retry_after), errors.ProofInvalid(nonce, "nonce")),
        *(errors.AccessTokenExpired(), errors.AccessTokenInvalid()),
    )
    events, origins = LoggedEvents(), settings.cors_origins
    return {each.code: RequestContext(partial(_raise, each), events, origins) for each in raised}


async def _raise(error: errors.TicketgateError, _request: Request) -> NoReturn:
    raise error
