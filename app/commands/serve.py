"""`serve`: the production server. `sandbox` runs it too, with another transport."""

import asyncio
import gc
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from difflib import get_close_matches
from pathlib import Path

import uvloop
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from app import __version__
from app.api.app import create_app
from app.authing.transport import Transport
from app.config import ENV_FILE, SECRETS_DIR, Settings, load_settings
from app.errors import StartupError
from app.main import open_services
from app.server.draining import DrainingServer, bind
from app.store_url import RedisUrl, StoreUrl
from app.telemetry import logs
from app.telemetry.metrics import Wrap

_LOOPBACK = re.compile(r"(?i)localhost|127(\.[0-9]+){3}|::1")
_OTLP_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# A variable with one of these beginnings is a setting of this service, or a mistake.
_OUR_PREFIX = re.compile(r"(AUTHING|MINIPROGRAM|SESSION|STORE|SERVICE_API|RATE_LIMIT|EVENTS)_")
# Kubernetes sets these for each Service, and desktops set the last.
_OF_OTHERS = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)|SESSION_MANAGER")

ADVICE = {
    "readable": "every user of this machine can read it; run chmod o=",
    "writable": "other users can change it; run chmod go-w",
    "plaintext": "tokens of sessions cross the network without TLS; use rediss:// or rediss+sentinel://",
}
"""What is unsafe about a setting that works, and what to do about it."""


def run() -> int:
    """Serve until a signal stops it, or raise StartupError."""
    uvloop.run(serve(load_settings(Settings, env_file=ENV_FILE, secrets_dir=SECRETS_DIR)))
    return 0


async def serve(
    settings: Settings,
    *,
    transport: Transport | None = None,
    extra_routes: Sequence[BaseRoute] = (),
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    on_start: Callable[[int], None] = lambda _port: None,
) -> None:
    """Serve until a signal stops it. `on_start` gets the port; `around` may add middleware."""
    logs.configure(settings.log_level, settings.log_format)
    events = logs.LoggedEvents()
    for name, nearest in unknown_names():
        events.record("setting_unknown", setting=name, nearest=nearest)
    for name, reason in unsafe_settings(settings).items():
        events.record("setting_unsafe", setting=name, reason=reason)
    drain = asyncio.Event()
    with _tracing() as (trace, traced):
        opening = open_services(settings, drain=drain, transport=transport, trace=trace)
        async with opening as services:
            app = create_app(
                services,
                api_docs=settings.api_docs,
                cors_origins=settings.cors_origins,
                extra_routes=extra_routes,
            )

            def serving(port: int) -> None:
                services.events.record("serving", version=__version__, port=port)
                on_start(port)

            await _listen(settings, traced(around(app)), drain, serving)
    events.record("stopped")


async def _listen(
    settings: Settings, app: ASGIApp, drain: asyncio.Event, on_start: Callable[[int], None]
) -> None:
    server = DrainingServer(
        app,
        drain=drain,
        drain_delay=settings.drain_delay.total_seconds(),
        shutdown_timeout=int(settings.shutdown_timeout.total_seconds()),
        keep_alive=int(settings.keep_alive.total_seconds()),
        on_start=on_start,
    )
    with bind(settings.host, settings.port) as listener:
        # Requests make few cycles, and a collection looks at all that are under way.
        gc.set_threshold(10_000)
        gc.freeze()  # all this lives as long as the process: collections need not look at it
        await server.serve(sockets=[listener])


@contextmanager
def _tracing() -> Iterator[tuple[Callable[[str], Wrap] | None, Callable[[ASGIApp], ASGIApp]]]:
    """Yield what wraps the commands of a part, or None, and what wraps the application."""
    asked = [name for name in _OTLP_ENDPOINTS if os.environ.get(name)]
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if not asked or disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        yield None, lambda app: app
        return
    try:
        from app.telemetry.tracing import Tracing  # noqa: PLC0415  # an extra

        opened = Tracing()
    except ImportError:
        logs.LoggedEvents().record("tracing_unavailable", setting=asked[0])
        yield None, lambda app: app
        return
    except ValueError as error:  # some values are ignored with a warning, and some are not
        name = next((word for word in str(error).split() if word.startswith("OTEL_")), asked[0])
        raise StartupError(f"{name}: OpenTelemetry does not accept its value") from error
    with closing(opened) as tracing:
        yield tracing.commands, tracing.requests


def unknown_names() -> list[tuple[str, str]]:
    """Find misspelled settings; return each with the nearest setting, or "" if none is near."""
    settings = [field.upper() for field in Settings.model_fields]
    secret_files = [path.name for path in SECRETS_DIR.glob("*")]
    given = {name.upper() for name in [*os.environ, *secret_files]}
    found = []
    for name in sorted(given - set(settings)):
        near = get_close_matches(name, settings, n=1, cutoff=0.85) if "_" in name else []
        nearest = near[0] if near and near[0][0] == name[0] else ""
        if nearest or (_OUR_PREFIX.match(name) and not _OF_OTHERS.fullmatch(name)):
            found.append((name, nearest))
    return found


def unsafe_settings(settings: Settings) -> dict[str, str]:
    """Return each unsafe setting, or `.env`, with one word of ADVICE."""
    found = {
        "SESSION_KEYS_FILE": _exposure(settings.session_keys_file),
        ENV_FILE.name: _exposure(ENV_FILE),
        "STORE_URL": "plaintext" if _is_plaintext(settings.store_url) else "",
    }
    return {name: reason for name, reason in found.items() if reason}


def _exposure(path: Path) -> str:
    mode = path.stat().st_mode if path.exists() else 0
    if mode & stat.S_IROTH:
        return "readable"
    return "writable" if mode & (stat.S_IWGRP | stat.S_IWOTH) else ""


def _is_plaintext(url: StoreUrl) -> bool:
    return (
        isinstance(url, RedisUrl)
        and not url.tls
        and not all(_LOOPBACK.fullmatch(host) for host, _ in url.hosts)
    )
